//! A writer is paused before any of its operations; another opens the log, writes, and is told
//! that it is durable; the first goes on. The lock lies.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::tally::{ensure, first_seed, pass, Outcome, Tally};
use super::{append, lines, open_on, read};
use crate::failure::Failure;
use crate::pruning::prune;
use crate::record::parse;
use crate::vfs::fault::{Fault, FaultVfs, Plan};
use crate::vfs::memory::{Dice, MemoryVfs};
use crate::vfs::Vfs;
use crate::writer::Writer;

/// What a writer does: `o`pens, appends so many, `s`yncs, `r`otates, `c`loses.
const SCRIPTS: [&str; 4] = ["o2s1s2", "o2sr1s", "o1s2so1s1sc", "o3sc"];

/// Who was told that a record is durable, by its number.
#[derive(Default)]
struct Told {
    texts: BTreeMap<u64, &'static str>,
    clash: Option<u64>,
}

impl Told {
    fn tell(&mut self, first: u64, last: u64, text: &'static str) {
        for seq in first..=last {
            if *self.texts.entry(seq).or_insert(text) != text {
                self.clash = Some(seq);
            }
        }
    }
}

type Shared<T> = Arc<Mutex<T>>;

fn with<T, R>(shared: &Shared<T>, work: impl FnOnce(&mut T) -> R) -> R {
    work(&mut shared.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Runs *script* until something fails, telling what is durable.
fn act(script: &str, vfs: &FaultVfs, told: &Shared<Told>) -> Result<(), Failure> {
    let mut writer: Option<(Writer, u64)> = None;
    for step in script.chars() {
        if step == 'o' {
            let opened = open_on(vfs)?.0;
            let first = opened.written() + 1;
            writer = Some((opened, first));
            continue;
        }
        let (writer, first) = writer.as_mut().expect("opened");
        let outcome = match step {
            's' => writer.sync(),
            'r' => writer.rotate(),
            'c' => writer.close("close", 1),
            count => append(writer, u64::from(count as u8 - b'0'), "a"),
        };
        with(told, |told| told.tell(*first, writer.durable(), "a"));
        outcome?;
    }
    Ok(())
}

/// The other one: opens, writes, syncs, perhaps prunes what was before; all of it must succeed.
fn intrude(disk: &MemoryVfs, told: &Shared<Told>, prunes: bool) -> Result<Writer, String> {
    let why = |failure: Failure| format!("I7 the new owner: {failure}");
    let (mut writer, _) = open_on(disk).map_err(why)?;
    let first = writer.written() + 1;
    append(&mut writer, 2, "b").map_err(why)?;
    writer.sync().map_err(why)?;
    with(told, |told| told.tell(first, writer.durable(), "b"));
    if prunes {
        let shared: Arc<dyn Vfs> = Arc::new(disk.clone());
        for _ in 0..2 {
            writer.close("close", 1).map_err(why)?;
            writer = open_on(disk).map_err(why)?.0;
        }
        prune(&shared, u64::MAX).map_err(why)?;
    }
    Ok(writer)
}

/// Every record that somebody was told is durable is there, with that one's text, unless it was
/// pruned.
fn check(disk: &MemoryVfs, told: &Told) -> Outcome {
    if let Some(seq) = told.clash {
        return Err(format!(
            "I7 two writers were told that record {seq} is theirs"
        ));
    }
    let last = told.texts.keys().next_back().copied().unwrap_or(0);
    let (base, found) = match read(disk) {
        Ok(mut reader) => (reader.analysis.base, lines(&mut reader)),
        Err(Failure::NotFound(_)) if last == 0 => return Ok(()),
        Err(failure) => return Err(format!("I8 {failure}")),
    };
    ensure!(
        base + found.len() as u64 > last,
        "I1 {} of {last} records from {base} on",
        found.len()
    );
    for (seq, text) in told.texts.range(base..) {
        let record = parse(&found[(*seq - base) as usize]).ok_or("I8 no record")?;
        let expected = format!("{{\"text\":\"{text} {seq}\"}}");
        let same = record.payload == expected.as_bytes();
        ensure!(same, "I7 record {seq} is not the one that was acknowledged");
    }
    Ok(())
}

/// *script*, paused before operation *at*; *plan* goes wrong with it.
fn race(script: &str, at: u64, plan: Plan, dice: &mut Dice) -> Outcome {
    let mut disk = MemoryVfs::new();
    disk.lock_lies = true;
    let (told, other) = (Shared::<Told>::default(), Shared::default());
    let vfs = FaultVfs::new(&disk, plan);
    let (its_disk, its_told, its) = (disk.clone(), told.clone(), other.clone());
    let prunes = dice.roll(3) == 0;
    vfs.pause_at(at, move || {
        let intruded = intrude(&its_disk, &its_told, prunes);
        with(&its, |other| *other = Some(intruded));
    });
    let outcome = act(script, &vfs, &told);
    if let Err(failure @ Failure::Corrupt(..)) = outcome {
        return Err(format!("I8 {failure}"));
    }
    let intruded = with(&other, Option::take);
    if let Some(mut writer) = intruded.transpose()? {
        // It may have been fenced in its turn; then it is told nothing.
        let first = writer.written() + 1;
        let _ = append(&mut writer, 1, "b").and_then(|()| writer.sync());
        with(&told, |told| told.tell(first, writer.durable(), "b"));
    }
    with(&told, |told| {
        check(&disk, told)?;
        check(&disk.power_cut(dice), told)
    })
}

fn operations(script: &str) -> u64 {
    let mut disk = MemoryVfs::new();
    disk.lock_lies = true;
    let vfs = FaultVfs::new(&disk, Plan::default());
    act(script, &vfs, &Shared::default()).expect("nothing fails");
    vfs.asked().len() as u64
}

/// Any script, paused anywhere, with anything going wrong.
pub(crate) fn any(seed: u64) -> Outcome {
    let mut dice = Dice::new(seed);
    let script = SCRIPTS[dice.roll(SCRIPTS.len())];
    let at = 1 + dice.roll(70) as u64;
    let faults = [Fault::Io, Fault::Full, Fault::Interrupted, Fault::Short];
    let mut plan = Plan::default();
    if dice.roll(2) == 0 {
        plan.fail_at = 1 + dice.roll(90) as u64;
        plan.is_sticky = dice.roll(4) == 0;
        plan.fault = faults[dice.roll(4)];
    }
    race(script, at, plan, &mut dice)
}

#[test]
fn wherever_a_writer_is_paused_only_the_owner_is_told_that_anything_is_durable() {
    let mut tally = Tally::new("paused writers", 20_000, 10_000_000);
    for script in SCRIPTS {
        for at in 1..=operations(script) {
            let mut dice = Dice::new(at);
            let outcome = race(script, at, Plan::default(), &mut dice);
            let outcome = outcome.map_err(|why| format!("{why} (`{script}` before {at})"));
            pass(outcome, "wherever_a_writer_is_paused", None);
            tally.add(1);
        }
    }
    let mut seed = first_seed();
    while !tally.is_full() {
        pass(any(seed), "wherever_a_writer_is_paused", Some(seed));
        tally.add(1);
        seed += 1;
    }
    tally.end();
}
