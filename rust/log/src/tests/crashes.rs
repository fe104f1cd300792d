//! Any operation of a session fails, in any way, once or for good; then the process is killed or
//! the power cut, and the log is opened again.

use super::tally::{ensure, first_seed, is_long, pass, Outcome, Tally};
use super::{open_on, push, read};
use crate::failure::Failure;
use crate::record::parse;
use crate::vfs::fault::{Fault, FaultVfs, Plan};
use crate::vfs::memory::{Dice, MemoryVfs};
use crate::writer::{Batch, Writer};

/// What a session does: `o`pens (the writer before it is killed), appends so many records,
/// `s`yncs, `r`otates, `c`loses.
const SCRIPTS: [&str; 8] = [
    "o3s1sr2s2o3s1sr2s2c",
    "o9so9so9sc",
    "o1o1o1o1so2sc",
    "o2r2r2r2sco2sc",
    "o5s5s5s5ro5s5o5c",
    "o1s1s1s1s1s1s1s1c",
    "o6o6so6sro6c",
    "oco1co2sco3ro4c",
];

/// What was promised until something failed.
#[derive(Default)]
struct Told {
    durable: u64,
    written: u64,
    accepted: u64,
}

/// The same for every record *seq*, whoever writes it; every fifth lies in a blob.
fn payload(seq: u64) -> Vec<u8> {
    let length = if seq.is_multiple_of(5) { 4_200 } else { 9 };
    format!("{{\"n\":{seq},\"text\":\"{}\"}}", "z".repeat(length)).into_bytes()
}

fn batch(writer: &Writer, count: u64) -> Batch {
    let first = writer.written() + 1;
    let mut batch = Batch {
        last: writer.written() + count,
        at: 1,
        ..Batch::default()
    };
    for seq in first..first + count {
        push(&mut batch, seq, writer.durable(), &payload(seq));
    }
    batch
}

fn act(script: &str, vfs: &FaultVfs, told: &mut Told) -> Result<(), Failure> {
    let mut writer: Option<Writer> = None;
    for step in script.chars() {
        if step == 'o' {
            drop(writer.take());
            writer = Some(open_on(vfs)?.0);
        }
        let writer = writer.as_mut().expect("opened");
        let outcome = match step {
            'o' => Ok(()),
            's' => writer.sync(),
            'r' => writer.rotate(),
            'c' => writer.close("close", 1),
            count => {
                let count = u64::from(count as u8 - b'0');
                told.accepted = told.accepted.max(writer.written() + count);
                writer.write(&batch(writer, count))
            }
        };
        told.durable = told.durable.max(writer.durable());
        told.written = told.written.max(writer.written());
        outcome?;
    }
    Ok(())
}

/// What must hold of *disk*, of which *promised* records must be left, also when it goes on.
fn check(disk: &MemoryVfs, promised: u64, accepted: u64) -> Outcome {
    match read(disk) {
        Ok(mut reader) => {
            let count = reader.len() as u64;
            ensure!(count >= promised, "I1 {count} records of {promised}");
            ensure!(count <= accepted, "I2 {count} records, {accepted} accepted");
            for seq in 1..=count {
                let line = reader.line(seq as usize - 1);
                let line = line.map_err(|failure| format!("I1 {failure}"))?;
                let record = parse(&line).ok_or("I8 a line that is no record")?;
                let (found, _) = reader.resolve(record.payload);
                ensure!(found == payload(seq), "I1 record {seq} has other bytes");
            }
        }
        Err(Failure::NotFound(_)) if promised == 0 => {}
        Err(failure) => return Err(format!("I8 {failure}")),
    }
    let (writer, _) = open_on(disk).map_err(|failure| format!("I8 {failure}"))?;
    let written = writer.written();
    ensure!(written >= promised, "I1 {written} taken over of {promised}");
    Ok(())
}

/// *script* with *plan*, and then a kill and *cuts* power cuts.
fn crash(script: &str, plan: &Plan, cuts: u64, dice: &mut Dice) -> Outcome {
    let disk = MemoryVfs::new();
    let mut told = Told::default();
    let vfs = FaultVfs::new(&disk, plan.clone());
    if let Err(failure @ Failure::Corrupt(..)) = act(script, &vfs, &mut told) {
        return Err(format!("I8 {failure}"));
    }
    check(&disk.copy(), told.written.max(told.durable), told.accepted)
        .map_err(|why| format!("{why} after a kill"))?;
    for _ in 0..cuts {
        check(&disk.power_cut(dice), told.durable, told.accepted)
            .map_err(|why| format!("{why} after a power cut"))?;
    }
    Ok(())
}

fn operations(script: &str) -> Vec<&'static str> {
    let vfs = FaultVfs::new(&MemoryVfs::new(), Plan::default());
    act(script, &vfs, &mut Told::default()).expect("nothing fails");
    vfs.asked().into_iter().map(|(what, _)| what).collect()
}

/// Any operation of any script, failing in any way.
pub(crate) fn any(seed: u64) -> Outcome {
    let mut dice = Dice::new(seed);
    let faults = [Fault::Io, Fault::Full, Fault::Interrupted, Fault::Short];
    let plan = Plan {
        fail_at: 1 + dice.roll(90) as u64,
        is_sticky: dice.roll(2) == 0,
        fault: faults[dice.roll(4)],
        ..Plan::default()
    };
    let script = SCRIPTS[dice.roll(SCRIPTS.len())];
    crash(script, &plan, 3, &mut dice).map_err(|why| format!("{why} (`{script}`, {plan:?})"))
}

#[test]
fn whichever_operation_fails_in_whichever_way_no_survivor_lacks_what_was_acknowledged() {
    const TEST: &str = "whichever_operation_fails_in";
    let mut failures = Tally::new("injected I/O failures", 5_000, 200_000);
    let mut crashes = Tally::new("crashes and recoveries", 20_000, 4_000_000);
    let cuts = if is_long() { 19 } else { 3 };
    let mut seed = first_seed();
    while !failures.is_full() {
        for script in SCRIPTS {
            for (index, what) in operations(script).into_iter().enumerate() {
                for fault in [Fault::Io, Fault::Full, Fault::Interrupted, Fault::Short] {
                    if fault == Fault::Short && what != "append" {
                        continue;
                    }
                    for is_sticky in [false, true] {
                        let fail_at = index as u64 + 1;
                        let plan = Plan {
                            fail_at,
                            is_sticky,
                            fault,
                            ..Plan::default()
                        };
                        let outcome = crash(script, &plan, cuts, &mut Dice::new(seed));
                        let why = |why| format!("{why} (`{script}`, {what} #{fail_at}, {plan:?})");
                        pass(outcome.map_err(why), TEST, Some(seed));
                        failures.add(1);
                        crashes.add(1 + cuts);
                    }
                }
            }
        }
        seed += 1;
    }
    failures.end();
    crashes.end();
}

/// A log of two openings, cleanly closed or not, is opened again by a disk that misreads once, or
/// the same file always; afterwards the disk is well.
pub(crate) fn misread(seed: u64) -> Outcome {
    let mut dice = Dice::new(seed);
    let disk = MemoryVfs::new();
    let mut told = Told::default();
    let script = ["o3s1sr2s2o3s2s", "o5s2so3sc", "o2sr1so1s", "o4s"][dice.roll(4)];
    let well = FaultVfs::new(&disk, Plan::default());
    act(script, &well, &mut told).map_err(|failure| format!("{failure}"))?;
    let plan = Plan {
        fail_at: 1 + dice.roll(14) as u64,
        is_sticky: dice.roll(2) == 0,
        fault: Fault::Misread(seed),
        ..Plan::default()
    };
    let ill = FaultVfs::new(&disk, plan.clone());
    let mut more = Told::default();
    let outcome = act("o2sc", &ill, &mut more);
    let what = |why| format!("{why} (`{script}`, {plan:?}, {outcome:?})");
    let promised = told.durable.max(more.durable);
    let accepted = told.accepted.max(more.accepted);
    check(&disk, promised, accepted).map_err(what)
}

#[test]
fn a_disk_that_misreads_loses_nothing_that_was_acknowledged() {
    let mut tally = Tally::new("openings over a misread", 20_000, 5_000_000);
    let mut seed = first_seed();
    while !tally.is_full() {
        pass(misread(seed), "a_disk_that_misreads", Some(seed));
        tally.add(1);
        seed += 1;
    }
    tally.end();
}
