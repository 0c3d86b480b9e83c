//! A key-value store as the host's `action:kv.put` has it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use toehold_sdk::testing::{FakeHost, Value, json};

/// Its clones are the same store, so it outlives a host.
#[derive(Clone, Default)]
pub(crate) struct Kv(Rc<RefCell<BTreeMap<String, Entry>>>);

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) value: Value,
    /// How often it was written.
    pub(crate) version: u64,
}

impl Kv {
    /// Lets a host write into it.
    pub(crate) fn on(&self, host: FakeHost) -> FakeHost {
        let entries = Rc::clone(&self.0);
        host.on("action:kv.put", move |input| {
            let key = input["key"].as_str().ok_or("no key")?.to_owned();
            let mut entries = entries.borrow_mut();
            let version = entries.get(&key).map_or(1, |entry| entry.version + 1);
            entries.insert(key, Entry { value: input["value"].clone(), version });
            Ok(json!({ "version": version }))
        })
    }

    pub(crate) fn entries(&self) -> BTreeMap<String, Entry> {
        self.0.borrow().clone()
    }
}
