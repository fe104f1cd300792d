//! Marks that a later release wrote.

use super::id;
use crate::marks::{Header, Seal};
use crate::rare::Rare;
use crate::record::push_tail;

/// As a later release may write it: fields first, between and last, of every type.
fn future(rest: &str) -> Vec<u8> {
    let log = id();
    let mut line = format!(
        "{{\"tinyagent_log\":1,\"flags\":[1,\"}}\"],\"log\":\"{log}\",\"seg\":1,\"epoch\":1,\
         \"first\":1,\"tail\":0,\"level\":\"crc\",\"key\":{{\"k\":\"\\u00e9\"}},\"m\":1.50{rest},\
         \"at\":7,\"by\":\"tinyagent 9\",\"last\":null"
    )
    .into_bytes();
    push_tail(&mut line, 0, &id());
    line
}

#[test]
fn what_a_header_says_in_unknown_fields_comes_back_byte_for_byte() {
    for rest in ["", ",\"name\":\"trip\",\"n\":true"] {
        let line = future(rest);
        let header = Header::parse(&line).expect("a header");
        let mut again = Vec::new();
        header.push_line(&mut again);
        let show = |line: &[u8]| String::from_utf8_lossy(line).into_owned();
        assert_eq!(show(&again), show(&line));
    }
}

#[test]
fn what_a_seal_says_in_unknown_fields_comes_back_byte_for_byte() {
    let mut line =
        b"{\"tinyagent_seal\":1,\"a\":[],\"seg\":1,\"last\":3,\"d\":3,\"why\":\"close\",\
        \"w\":\"\\u00e9\",\"at\":7,\"z\":null"
            .to_vec();
    push_tail(&mut line, 0, &id());
    let seal = Seal::parse(&line, &id()).expect("a seal");
    assert_eq!(seal.more.len(), 3);
    let mut again = Vec::new();
    seal.push_line(&mut again, &id());
    assert_eq!(again, line);
}

#[test]
fn a_reader_refuses_what_it_does_not_know_and_hands_on_what_others_must_know() {
    let told = |need: &str| Header::parse(&future(&format!(",\"need\":{need}"))).expect("a header");
    assert_eq!(told("[\"enc\"]").objection(), None);
    assert_eq!(told("[]").objection(), None);
    let objection = told("[\"enc\",\"moon\"]").objection().expect("refused");
    assert!(
        objection.contains("it needs [\"enc\",\"moon\"]"),
        "{objection}"
    );
    let mut other = future_header();
    other.keep(told("[\"enc\"]").kept());
    assert_eq!(other.rare().need.as_deref(), Some("[\"enc\"]"));
}

fn future_header() -> Header {
    Header::parse(&future("")).expect("a header")
}

#[test]
fn what_is_handed_on_includes_what_was_removed_and_masked_but_overrules_nothing() {
    let line = future(",\"pruned\":{\"upto\":3},\"redacted\":{\"head\":\"00\"},\"n\":true");
    let header = Header::parse(&line).expect("a header");
    let with = |redacted| {
        let rare = Rare {
            redacted,
            more: Vec::new(),
            pruned: None,
            ..header.rare().clone()
        };
        Header {
            rare: rare.boxed(),
            ..header.clone()
        }
    };
    let mut other = with(None);
    other.keep(header.kept());
    assert_eq!(other, header);
    let mut own = with(Some("{}".to_owned()));
    own.keep(header.kept());
    assert_eq!(own.rare().redacted.as_deref(), Some("{}"));
}
