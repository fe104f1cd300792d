//! A snapshot is written, and the process is killed or the power cut at any moment of it.

use super::{append, open_on, read};
use crate::blobs::write_whole;
use crate::vfs::fault::{Fault, FaultVfs, Plan};
use crate::vfs::memory::{Dice, MemoryVfs};
use crate::vfs::Vfs;

const NAME: &str = "snap/00000000000000000003.json";
const OLD: &str = "{\"tinyagent_snap\":1}\n";

fn keep(vfs: &dyn Vfs, body: &[u8]) -> std::io::Result<()> {
    vfs.create_folder("snap")?;
    vfs.sync_folder("")?;
    write_whole(vfs, NAME, body)?;
    vfs.sync_folder("snap")
}

#[test]
fn whenever_it_is_cut_off_a_snapshot_is_whole_or_not_there_and_the_log_as_it_was() {
    let body = "{\"tinyagent_snap\":1,\"held\":\"all\"}\n".repeat(100);
    let disk = MemoryVfs::new();
    let (mut writer, _) = open_on(&disk).expect("opened");
    append(&mut writer, 3, "said").expect("written");
    writer.sync().expect("synced");
    let well = FaultVfs::new(&disk.copy(), Plan::default());
    keep(&well, body.as_bytes()).expect("kept");
    let operations = well.asked().len() as u64;
    assert!(operations >= 6, "{:?}", well.asked());
    for fail_at in 1..=operations + 1 {
        for has_old in [false, true] {
            let disk = disk.copy();
            if has_old {
                disk.put(NAME, OLD.as_bytes());
            }
            let plan = Plan {
                fail_at,
                is_sticky: true,
                fault: Fault::Io,
                ..Plan::default()
            };
            let kept = keep(&FaultVfs::new(&disk, plan), body.as_bytes());
            assert_eq!(kept.is_ok(), fail_at > operations);
            let cuts = (0..20).map(|seed| disk.power_cut(&mut Dice::new(seed)));
            for after in [disk.copy()].into_iter().chain(cuts) {
                let found = after.read(NAME).unwrap_or_default();
                let is_old = found.is_empty() || (has_old && found == OLD.as_bytes());
                let is_new = found == body.as_bytes();
                assert!(is_new || (is_old && fail_at <= operations), "at {fail_at}");
                assert_eq!(read(&after).expect("a log").len(), 3);
                let (writer, _) = open_on(&after).expect("opened again");
                assert_eq!(writer.written(), 3);
            }
        }
    }
}
