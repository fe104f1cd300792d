//! A tool's schema and a call's arguments, separated by a line end. The same faults are told
//! however often they are asked for, and none of a call that fits.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tinyagent_decode::arguments::{check, Schemas};

fuzz_target!(|bytes: &[u8]| {
    let end = bytes
        .iter()
        .position(|&byte| byte == b'\n')
        .unwrap_or(bytes.len());
    let (schema, arguments) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
    let mut schemas = Schemas::new(1);
    let Ok(validator) = schemas.get(schema) else {
        return;
    };
    let faults = check(&validator, arguments);
    assert!(faults.len() <= 100);
    assert!(faults
        .iter()
        .all(|(_, message)| message.chars().count() <= 600));
    let again = schemas.get(schema).expect("it was compiled before");
    assert_eq!(check(&again, arguments), faults);
    if !serde_json::from_slice::<serde_json::Value>(arguments).is_ok_and(|it| it.is_object()) {
        assert!(!faults.is_empty(), "not an object, and no fault");
    }
});
