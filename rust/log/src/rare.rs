//! What few headers say. Most logs that an application has open say none of it, and hold no room
//! for it.

use crate::marks::Kept;

/// See [`Header::rare`](crate::marks::Header::rare).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rare {
    /// Chain hash of record `first - 1`, 64 hexadecimal digits, at the levels that have one.
    pub prev: Option<String>,
    /// Raw JSON of `fork`, where the log is one.
    pub fork: Option<String>,
    /// Raw JSON of `pruned`, where records were removed on purpose.
    pub pruned: Option<String>,
    /// Raw JSON of `redacted`, where texts were masked and the chain made anew.
    pub redacted: Option<String>,
    /// Raw JSON of `need`: what a reader must know.
    pub need: Option<String>,
    /// A label for people.
    pub name: Option<String>,
    /// Set if the log was imported.
    pub origin: Option<String>,
    /// Fields that are not known here, in their order.
    pub more: Vec<Kept>,
}

pub(crate) static NOTHING: Rare = Rare {
    prev: None,
    fork: None,
    pruned: None,
    redacted: None,
    need: None,
    name: None,
    origin: None,
    more: Vec::new(),
};

impl Rare {
    /// This, for a header; `None` if it says nothing.
    pub fn boxed(self) -> Option<Box<Rare>> {
        (self != NOTHING).then(|| Box::new(self))
    }
}
