//! Random histories of several epochs: appends, syncs, rotations, blobs, kills, power cuts,
//! failing operations, crashes while opening, old writers that go on after they were replaced,
//! and at the end, damage.

use super::hurt::{hurt, judge};
use super::tally::{ensure, first_seed, pass, Outcome, Tally};
use super::{open_on, push, read};
use crate::failure::Failure;
use crate::record::parse;
use crate::vfs::fault::{Fault, FaultVfs, Plan};
use crate::vfs::memory::{Dice, MemoryVfs};
use crate::writer::{Batch, Writer};

/// What an outside observer knows.
#[derive(Default)]
struct Model {
    /// Payloads of the records accepted, in order; some may be lost.
    accepted: Vec<Vec<u8>>,
    /// How many of them survive the death of the process.
    written: usize,
    /// How many of them were acknowledged as durable.
    durable: usize,
}

struct World {
    disk: MemoryVfs,
    model: Model,
    zombies: Vec<Writer>,
    dice: Dice,
    made: u64,
    epochs: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut disk = MemoryVfs::new();
        disk.lock_lies = true;
        World {
            disk,
            model: Model::default(),
            zombies: Vec::new(),
            dice: Dice::new(seed),
            made: 0,
            epochs: 0,
        }
    }

    fn acknowledge(&mut self, writer: &Writer) {
        let model = &mut self.model;
        model.written = model.written.max(writer.written() as usize);
        model.durable = model.durable.max(writer.durable() as usize);
    }

    /// I1, I2, I8: what was acknowledged is there, to the byte; nothing that was never accepted.
    fn check(&mut self) -> Outcome {
        let promised = self.model.written.max(self.model.durable);
        let mut reader = match read(&self.disk) {
            Ok(reader) => reader,
            Err(Failure::NotFound(_)) => {
                ensure!(promised == 0, "I1 nothing is left of {promised} records");
                self.model.accepted.clear();
                return Ok(());
            }
            Err(failure) => return Err(format!("I8 no damage was done: {failure}")),
        };
        let (count, accepted) = (reader.len(), self.model.accepted.len());
        ensure!(count >= promised, "I1 {count} records of {promised}");
        ensure!(count <= accepted, "I2 {count} records, {accepted} accepted");
        for index in 0..count {
            let line = reader
                .line(index)
                .map_err(|failure| format!("I1 {failure}"))?;
            let record = parse(&line).ok_or("I8 a line that is no record")?;
            let (payload, lost) = reader.resolve(record.payload);
            let seq = index + 1;
            ensure!(lost.is_empty(), "I1 record {seq} lost its value {lost:?}");
            let same = payload == self.model.accepted[index];
            ensure!(same, "I1 record {seq} has other bytes");
        }
        // What could not be read will be written anew by the next epoch.
        self.model.accepted.truncate(count);
        Ok(())
    }

    fn batch(&mut self, writer: &Writer) -> Batch {
        let count = 1 + self.dice.roll(4) as u64;
        let first = writer.written() + 1;
        let mut batch = Batch {
            last: first + count - 1,
            at: 1,
            ..Batch::default()
        };
        for seq in first..first + count {
            self.made += 1;
            let size = match self.dice.roll(24) {
                0 => 4_100,
                1 | 2 => 1_200,
                _ => 10,
            };
            let text = "x".repeat(size);
            let payload = format!("{{\"n\":{},\"text\":\"{text}\"}}", self.made).into_bytes();
            self.model.accepted.push(payload.clone());
            push(&mut batch, seq, writer.durable(), &payload);
        }
        batch
    }

    fn plan(&mut self) -> Plan {
        let faults = [Fault::Io, Fault::Full, Fault::Interrupted, Fault::Short];
        Plan {
            fail_at: 1 + self.dice.roll(60) as u64,
            is_sticky: self.dice.roll(2) == 0,
            fault: faults[self.dice.roll(4)],
            is_short: self.dice.roll(4) == 0,
            room: (self.dice.roll(4) == 0).then_some(0),
        }
    }

    /// One opening and what follows, until something fails or it ends.
    fn epoch(&mut self) -> Outcome {
        self.epochs += 1;
        let vfs = FaultVfs::new(&self.disk, Plan::default());
        if self.dice.roll(2) == 0 {
            vfs.plan(self.plan());
        }
        let mut writer = match open_on(&vfs) {
            Ok((writer, _)) => writer,
            Err(failure @ Failure::Corrupt(..)) => return Err(format!("I8 {failure}")),
            Err(_) => return Ok(()),
        };
        self.model.accepted.truncate(writer.written() as usize);
        let (kept, written) = (self.model.accepted.len() as u64, writer.written());
        ensure!(kept == written, "I1 {kept} records, {written} taken over");
        self.acknowledge(&writer);
        for _ in 0..self.dice.roll(12) {
            let outcome = match self.dice.roll(8) {
                0..=3 => {
                    let batch = self.batch(&writer);
                    writer.write(&batch)
                }
                4..=6 => writer.sync(),
                _ => writer.rotate(),
            };
            self.acknowledge(&writer);
            if outcome.is_err() {
                return Ok(());
            }
        }
        match self.dice.roll(3) {
            0 => {
                let _ = writer.close("close", 1);
                self.acknowledge(&writer);
            }
            // Paused: it will go on when another has taken over.
            1 => self.zombies.push(writer),
            _ => {}
        }
        Ok(())
    }

    fn crash(&mut self) {
        match self.dice.roll(3) {
            0 => {
                self.zombies.clear();
                self.disk = self.disk.power_cut(&mut self.dice);
                self.model.written = self.model.durable;
            }
            // A kill; what was written is there, who wrote it is not.
            1 => {
                self.zombies.clear();
                self.disk = self.disk.copy();
            }
            _ => {}
        }
    }

    /// I7: a writer that was replaced acknowledges nothing any more.
    fn wake_zombies(&mut self, zombies: Vec<Writer>) -> Outcome {
        for mut zombie in zombies {
            let durable = zombie.durable();
            let first = zombie.written() + 1;
            let late = super::batch(durable, first, first + 1, "late");
            let outcome = zombie.write(&late).and_then(|()| zombie.sync());
            ensure!(outcome.is_err(), "I7 a fenced writer went on");
            ensure!(
                zombie.durable() == durable,
                "I7 a fenced writer says durable"
            );
        }
        Ok(())
    }

    /// The next one opens and writes, the old ones wake up, the next one goes on.
    fn succeed(&mut self) -> Outcome {
        let zombies = std::mem::take(&mut self.zombies);
        self.epochs += 1;
        let opened = open_on(&self.disk).map_err(|failure| format!("I8 {failure}"));
        let (mut writer, _) = opened?;
        self.go_on(&mut writer)?;
        self.wake_zombies(zombies)?;
        self.go_on(&mut writer)
    }

    fn go_on(&mut self, writer: &mut Writer) -> Outcome {
        let batch = self.batch(writer);
        let outcome = writer.write(&batch).and_then(|()| writer.sync());
        outcome.map_err(|failure| format!("I7 the owner cannot write: {failure}"))?;
        self.acknowledge(writer);
        Ok(())
    }
}

/// Runs the history of *seed*; returns how many openings it had.
pub(crate) fn history(seed: u64) -> Result<u64, String> {
    let mut world = World::new(seed);
    for _ in 0..2 + world.dice.roll(5) {
        world.epoch()?;
        world.crash();
        world.check()?;
        if !world.zombies.is_empty() && world.dice.roll(2) == 0 {
            world.succeed()?;
            world.check()?;
        }
    }
    if world.dice.roll(4) == 0 && world.model.durable > 0 {
        world.zombies.clear();
        let what = hurt(&world.disk, &mut world.dice);
        let outcome = judge(&world.disk, &world.model.accepted, world.model.durable);
        outcome.map_err(|why| format!("{why} ({what})"))?;
    }
    Ok(world.epochs)
}

#[test]
fn no_history_loses_what_was_acknowledged_or_is_called_corrupt() {
    let mut tally = Tally::new("openings in random histories", 200_000, 30_000_000);
    let mut seed = first_seed();
    while !tally.is_full() {
        let outcome = history(seed).map(|epochs| tally.add(epochs));
        pass(outcome, "no_history_loses", Some(seed));
        seed += 1;
    }
    tally.end();
}
