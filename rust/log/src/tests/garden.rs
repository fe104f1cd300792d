//! Every planted bug is found, and after how many runs.

use std::panic::catch_unwind;

use super::golden::SAMPLE;
use super::tally::{is_long, Outcome};
use super::{crashes, golden_damage, histories, pauses};
use crate::garden::{plant, BUGS};

/// More runs than these are not tried.
const RUNS_MAX: u64 = 20_000;

/// One run of the harness that *seed* chooses.
fn run(seed: u64) -> Outcome {
    match seed % 5 {
        0 => crashes::any(seed),
        1 => pauses::any(seed),
        2 => golden_damage::any(seed, SAMPLE),
        3 => crashes::misread(seed),
        _ => histories::history(seed).map(drop),
    }
}

/// How many runs until *bug* is found, and by what.
fn hunt(bug: Option<&'static str>, first: u64) -> Option<(u64, String)> {
    (1..=RUNS_MAX).find_map(|count| {
        plant(bug);
        let outcome = catch_unwind(|| run(first + count));
        plant(None);
        let why = match outcome {
            Ok(Ok(())) => return None,
            Ok(Err(why)) => why,
            Err(_) => "panicked".to_owned(),
        };
        Some((count, why))
    })
}

#[test]
fn every_planted_bug_is_found() {
    let rounds = if is_long() { 15 } else { 3 };
    let mut missed = Vec::new();
    let mut table = String::new();
    for bug in BUGS {
        let hunts = (0..rounds).map(|round| hunt(Some(bug), round * RUNS_MAX));
        let mut found: Vec<(u64, String)> = hunts.flatten().collect();
        found.sort();
        if found.len() < rounds as usize {
            missed.push(bug);
        }
        if let Some((median, why)) = found.get(found.len() / 2) {
            let why: String = why.chars().take(60).collect();
            table += &format!("garden: {bug:<30} {median:>5} runs (median of {rounds}): {why}\n");
        }
    }
    let all = format!(
        "garden: {} of {} bugs found\n",
        BUGS.len() - missed.len(),
        BUGS.len()
    );
    super::tally::say(&(table + &all));
    assert!(missed.is_empty(), "not found: {missed:?}");
}

#[test]
fn without_a_planted_bug_the_same_runs_find_nothing() {
    for seed in 0..5_000 {
        run(seed).unwrap_or_else(|why| panic!("run {seed}: {why}"));
    }
}
