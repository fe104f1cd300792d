//! Large values: moved out, put back to the same bytes, missed when they are gone.

use super::{open_on, push, read};
use crate::blobs::{blob_name, digests, put_back, take_out, PAYLOAD_BYTES_MAX, REFERENCE};
use crate::recover::Verdict;
use crate::vfs::memory::{Dice, MemoryVfs};
use crate::vfs::Vfs;
use crate::writer::Batch;

fn there_and_back(payload: &[u8]) -> (Vec<u8>, usize) {
    let (left, blobs) = take_out(payload).expect("within the limit");
    let disk = MemoryVfs::new();
    for blob in &blobs {
        disk.put(&blob_name("blobs", &blob.digest), &blob.body);
    }
    let (back, lost) = put_back(&disk, "blobs", &left);
    assert_eq!(lost, Vec::<String>::new());
    assert!(back == payload, "{}", String::from_utf8_lossy(&left));
    (left, blobs.len())
}

#[test]
fn large_strings_and_bytes_are_moved_out_and_come_back_to_the_same_bytes() {
    let text = "Ó\\n\\\"\\u0001 ".repeat(900);
    let bytes = "QUJD".repeat(20_000);
    let payload = format!(
        "{{\"a\":\"{text}\",\"b\":{{\"$b64\":\"{bytes}\"}},\"c\":[\"{text}\",1],\"d\":\"small\"}}"
    );
    let (left, count) = there_and_back(payload.as_bytes());
    assert_eq!(count, 3);
    assert!(left.len() < 600);
    assert!(memchr::memmem::find(&left, b"\"t\":\"bytes\"").is_some());
}

#[test]
fn what_is_large_in_small_pieces_is_moved_out_whole() {
    let items = vec!["\"piece\""; 20_000].join(",");
    let payload = format!("{{\"items\":[{items}]}}");
    let (left, count) = there_and_back(payload.as_bytes());
    assert_eq!(count, 1);
    assert!(left.starts_with(REFERENCE) && left.ends_with(b"\"t\":\"json\"}"));
}

#[test]
fn a_users_own_wrappers_are_left_alone() {
    let long = "QUJD".repeat(20_000);
    for inner in [
        format!("{{\"$b64\":\"{long}\"}}"),
        format!(
            "{{\"$blob\":\"sha256:{}\",\"n\":1,\"t\":\"text\"}}",
            "a".repeat(64)
        ),
        format!("\"{long}\""),
    ] {
        let filler = "x".repeat(PAYLOAD_BYTES_MAX);
        there_and_back(format!("{{\"e\":{{\"$esc\":{inner}}},\"f\":\"{filler}\"}}").as_bytes());
    }
}

#[test]
fn escapes_that_we_would_write_otherwise_stay_in_the_line() {
    // Put back, the escaped slash would be another byte than before.
    let odd = format!("\"{}\"", "\\/".repeat(4_000));
    let (_, count) =
        there_and_back(format!("{{\"a\":{odd},\"b\":\"{}\"}}", "y".repeat(70_000)).as_bytes());
    assert_eq!(count, 1);
}

#[test]
fn a_value_of_more_than_256_mib_is_refused_with_its_size() {
    let mut payload = b"{\"a\":\"".to_vec();
    payload.resize(payload.len() + (256 << 20) + 1, b'x');
    payload.extend_from_slice(b"\"}");
    assert_eq!(take_out(&payload), Err((256 << 20) + 1));
}

fn disk_with_blob() -> (MemoryVfs, String) {
    let disk = MemoryVfs::new();
    let (mut writer, _) = open_on(&disk).expect("opened");
    let payload = format!("{{\"a\":\"{}\"}}", "z".repeat(100_000));
    let mut batch = Batch {
        last: 1,
        ..Batch::default()
    };
    push(&mut batch, 1, 0, payload.as_bytes());
    let digest = digests(&batch.lines).remove(0);
    writer.write(&batch).expect("written");
    writer.sync().expect("synced");
    (disk, blob_name("blobs", &digest))
}

#[test]
fn a_durable_record_has_its_values_after_any_power_cut() {
    let (disk, _) = disk_with_blob();
    for seed in 0..40 {
        let cut = disk.power_cut(&mut Dice::new(seed));
        let mut reader = read(&cut).expect("a log");
        let line = reader.line(0).expect("a line");
        let record = crate::record::parse(&line).expect("a record");
        let (_, lost) = reader.resolve(record.payload);
        assert!(lost.is_empty(), "power cut {seed}");
    }
}

#[test]
fn a_record_that_was_never_acknowledged_is_torn_without_its_value() {
    let (disk, name) = disk_with_blob();
    disk.remove("LOCK").expect("removed");
    let mut body = disk.read(&name).expect("bytes");
    body[5] ^= 1;
    disk.put(&name, &body);
    let reader = read(&disk).expect("a log");
    assert!(matches!(&reader.analysis.verdict, Verdict::Torn(torn) if torn.dropped == 1));
    assert_eq!(reader.len(), 0);
}

#[test]
fn a_durable_record_keeps_the_reference_to_a_value_that_is_lost() {
    let (disk, name) = disk_with_blob();
    disk.remove(&name).expect("removed");
    let mut reader = read(&disk).expect("a log");
    let line = reader.line(0).expect("a line");
    let record = crate::record::parse(&line).expect("a record");
    let (payload, lost) = reader.resolve(record.payload);
    assert_eq!(lost.len(), 1);
    assert_eq!(payload, record.payload);
}

#[test]
fn a_damaged_value_is_stored_again_when_it_is_met_again() {
    let (disk, name) = disk_with_blob();
    let intact = disk.read(&name).expect("bytes");
    disk.put(&name, b"damaged");
    let (mut writer, _) = open_on(&disk).expect("opened");
    let payload = format!("{{\"a\":\"{}\"}}", "z".repeat(100_000));
    let (_, blobs) = take_out(payload.as_bytes()).expect("within the limit");
    let batch = Batch {
        blobs,
        ..super::batch(1, 2, 2, "again")
    };
    writer.write(&batch).expect("written");
    assert_eq!(disk.read(&name).expect("bytes"), intact);
}
