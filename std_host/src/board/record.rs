use toehold::console::Fields;

/// What a line of a board says: a kind, and fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    kind: String,
    fields: Vec<(String, String)>,
}

impl Record {
    pub(super) fn new(kind: &str, fields: Fields<'_>) -> Self {
        let fields = fields.map(|(key, value)| (key.to_owned(), value.into_owned())).collect();
        Self { kind: kind.to_owned(), fields }
    }

    /// Its kind, such as `job`; empty for an answer.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The value of the first field with this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.fields.iter().find(|(found, _)| found == key).map(|(_, value)| value.as_str())
    }

    /// The same as a number.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<u64> {
        self.get(key)?.parse().ok()
    }

    /// All fields, in order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}
