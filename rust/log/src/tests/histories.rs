//! Random histories of several epochs: appends, syncs, rotations, blobs, kills, power cuts,
//! failing operations, crashes while opening, and old writers that go on after they were replaced.

use super::{id, open_on, read};
use crate::blobs::{take_out, PAYLOAD_BYTES_MAX};
use crate::failure::Failure;
use crate::record::{parse, push_line, Record};
use crate::vfs::fault::{FaultVfs, Plan};
use crate::vfs::memory::{Dice, MemoryVfs};
use crate::writer::{Batch, Writer};

/// What an outside observer knows.
#[derive(Default)]
struct Model {
    /// Payloads of the records accepted, in order; some may be lost.
    accepted: Vec<Vec<u8>>,
    /// How many of them were acknowledged as durable.
    durable: usize,
}

struct World {
    disk: MemoryVfs,
    model: Model,
    zombies: Vec<Writer>,
    dice: Dice,
    seed: u64,
    made: u64,
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
            seed,
            made: 0,
        }
    }

    /// I1, I2, I8: what was acknowledged is there, to the byte; nothing that was never accepted.
    fn check(&mut self) {
        let seed = self.seed;
        let mut reader = match read(&self.disk) {
            Ok(reader) => reader,
            Err(Failure::NotFound(_)) => {
                assert_eq!(self.model.durable, 0, "seed {seed}");
                self.model.accepted.clear();
                return;
            }
            Err(failure) => panic!("seed {seed}: {failure}"),
        };
        let count = reader.len();
        assert!(
            count >= self.model.durable,
            "seed {seed}: {count} of {}",
            self.model.durable
        );
        assert!(count <= self.model.accepted.len(), "seed {seed}");
        for index in 0..count {
            let line = reader.line(index).expect("a line");
            let record = parse(&line).expect("a record");
            let (payload, lost) = reader.resolve(record.payload);
            assert!(
                lost.is_empty(),
                "seed {seed}: record {} lost {lost:?}",
                index + 1
            );
            assert!(
                payload == self.model.accepted[index],
                "seed {seed}: record {}",
                index + 1
            );
        }
        // What could not be read will be written anew by the next epoch.
        self.model.accepted.truncate(count);
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
            let size = match self.dice.roll(16) {
                0 => PAYLOAD_BYTES_MAX + 10,
                1 => 2_000,
                _ => 10,
            };
            let text = format!("{} ", self.made).repeat(size / 6 + 1);
            let payload = format!("{{\"n\":{},\"text\":\"{text}\"}}", self.made).into_bytes();
            self.model.accepted.push(payload.clone());
            let (left, blobs) = if payload.len() > PAYLOAD_BYTES_MAX {
                take_out(&payload).expect("within the limit")
            } else {
                (payload, Vec::new())
            };
            let record = Record {
                seq,
                d: writer.durable(),
                ts_us: 1,
                actor: None,
                kind: "user.said",
                v: 1,
                cause: 0,
                payload: &left,
            };
            push_line(&mut batch.lines, &id(), &record);
            batch.blobs.extend(blobs);
        }
        batch
    }

    /// One opening and what follows, until something fails or it ends.
    fn epoch(&mut self) {
        let vfs = FaultVfs::new(&self.disk, Plan::default());
        if self.dice.roll(2) == 0 {
            vfs.plan(Plan {
                fail_at: 1 + self.dice.roll(60) as u64,
                is_sticky: self.dice.roll(2) == 0,
                is_short: self.dice.roll(4) == 0,
                room: (self.dice.roll(4) == 0).then_some(0),
            });
        }
        let Ok((mut writer, _)) = open_on(&vfs) else {
            return;
        };
        self.model.accepted.truncate(writer.written() as usize);
        assert_eq!(
            self.model.accepted.len() as u64,
            writer.written(),
            "seed {}",
            self.seed
        );
        self.model.durable = self.model.durable.max(writer.durable() as usize);
        for _ in 0..self.dice.roll(12) {
            let outcome = match self.dice.roll(8) {
                0..=3 => {
                    let batch = self.batch(&writer);
                    writer.write(&batch)
                }
                4..=6 => writer.sync(),
                _ => writer.rotate(),
            };
            self.model.durable = self.model.durable.max(writer.durable() as usize);
            if outcome.is_err() {
                return;
            }
        }
        match self.dice.roll(3) {
            0 => {
                let _ = writer.close("close", 1);
                self.model.durable = self.model.durable.max(writer.durable() as usize);
            }
            // Paused: it will go on when another has taken over.
            1 => self.zombies.push(writer),
            _ => {}
        }
    }

    /// I7: a writer that was replaced acknowledges nothing any more.
    fn wake_zombies(&mut self) {
        for mut zombie in std::mem::take(&mut self.zombies) {
            let durable = zombie.durable();
            let first = zombie.written() + 1;
            let late = super::batch(durable, first, first + 1, "late");
            let outcome = zombie.write(&late).and_then(|()| zombie.sync());
            assert!(
                outcome.is_err(),
                "seed {}: a fenced writer went on",
                self.seed
            );
            assert_eq!(zombie.durable(), durable, "seed {}", self.seed);
        }
    }
}

fn history(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..2 + world.dice.roll(5) {
        world.epoch();
        match world.dice.roll(3) {
            0 => {
                world.zombies.clear();
                world.disk = world.disk.power_cut(&mut world.dice);
            }
            // A kill; what was written is there, who wrote it is not.
            1 => {
                world.zombies.clear();
                world.disk = world.disk.copy();
            }
            _ => {}
        }
        world.check();
        if !world.zombies.is_empty() && world.dice.roll(2) == 0 {
            // The next one opens, writes, and then the old one wakes up.
            let sleeping = std::mem::take(&mut world.zombies);
            let opened = open_on(&world.disk);
            world.zombies = sleeping;
            if let Ok((mut writer, _)) = opened {
                world.model.durable = world.model.durable.max(writer.durable() as usize);
                let batch = world.batch(&writer);
                let outcome = writer.write(&batch).and_then(|()| writer.sync());
                outcome.expect("the new owner writes");
                world.model.durable = writer.durable() as usize;
                world.wake_zombies();
                let batch = world.batch(&writer);
                let outcome = writer.write(&batch).and_then(|()| writer.sync());
                outcome.expect("the new owner goes on");
                world.model.durable = writer.durable() as usize;
            }
            world.check();
        }
    }
    world.check();
}

#[test]
fn no_history_loses_what_was_acknowledged_or_is_called_corrupt() {
    let count = std::env::var("TINYAGENT_HISTORIES").ok();
    let count = count.and_then(|count| count.parse().ok()).unwrap_or(3_000);
    for seed in 1..=count {
        history(seed);
    }
}
