//! Our reader and writer beside serde_json: what one writes, the other reads, and what one refuses, so does the other.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::read::from_slice;
use super::scan::Scanner;
use super::write::to_vec;

/// All that a state is likely to have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct State {
    done: u64,
    small: i8,
    ratio: f64,
    half: f32,
    wide: i128,
    name: String,
    letter: char,
    maybe: Option<i64>,
    kinds: Vec<Kind>,
    by_number: BTreeMap<i32, bool>,
    by_name: BTreeMap<String, (u8, String)>,
    by_kind: BTreeMap<Plain, ()>,
    wrapped: Wrapped,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Plain {
    Here,
    There,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    Nothing,
    One(Option<u32>),
    Two(u8, String),
    Named { left: bool, right: Box<Kind> },
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Wrapped(Vec<Wrapped>);

fn kinds() -> impl Strategy<Value = Kind> {
    let leaf = prop_oneof![
        Just(Kind::Nothing),
        any::<Option<u32>>().prop_map(Kind::One),
        any::<(u8, String)>().prop_map(|(number, text)| Kind::Two(number, text)),
    ];
    leaf.prop_recursive(3, 8, 1, |kind| {
        (any::<bool>(), kind).prop_map(|(left, right)| Kind::Named { left, right: Box::new(right) })
    })
}

prop_compose! {
    fn states()(
        (done, small, ratio, half, wide) in (any::<u64>(), any::<i8>(), any::<f64>(), any::<f32>(), any::<i128>()),
        (name, letter, maybe) in any::<(String, char, Option<i64>)>(),
        kinds in prop::collection::vec(kinds(), 0..4),
        by_number in prop::collection::btree_map(any::<i32>(), any::<bool>(), 0..3),
        by_name in prop::collection::btree_map(any::<String>(), any::<(u8, String)>(), 0..3),
        by_kind in prop::collection::btree_map(prop_oneof![Just(Plain::Here), Just(Plain::There)], Just(()), 0..3),
        depth in 0..5_usize,
        bytes in any::<Vec<u8>>(),
    ) -> State {
        let wrapped = (0..depth).fold(Wrapped::default(), |inner, _| Wrapped(vec![inner, Wrapped::default()]));
        State { done, small, ratio, half, wide, name, letter, maybe, kinds, by_number, by_name, by_kind, wrapped, bytes }
    }
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[\\\\\"\u{0}-\u{20}/é🐚]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, |value| {
        prop_oneof![
            prop::collection::vec(value.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((any::<String>(), value), 0..5)
                .prop_map(|entries| Value::from(entries.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Both read the same or neither does.
#[track_caller]
fn assert_read_alike<T: DeserializeOwned + PartialEq + core::fmt::Debug>(json: &[u8]) {
    let shown = String::from_utf8_lossy(json);
    match (from_slice::<T>(json), serde_json::from_slice::<T>(json)) {
        (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs, "{shown}"),
        (Err(_), Err(_)) => {}
        (ours, theirs) => panic!("{shown}: {ours:?}, but serde_json: {theirs:?}"),
    }
}

fn skipped(json: &[u8]) -> bool {
    let skipped = Scanner::whole(json, Scanner::skip).is_ok();
    assert_eq!(from_slice::<IgnoredAny>(json).is_ok(), skipped);
    skipped
}

proptest! {
    #[test]
    fn a_state_moves_between_both(state in states()) {
        let ours = to_vec(&state).unwrap();
        let theirs = serde_json::to_vec(&state).unwrap();
        assert_read_alike::<State>(&ours);
        assert_read_alike::<State>(&theirs);
        let finite = state.ratio.is_finite() && state.half.is_finite();
        if finite {
            prop_assert_eq!(&from_slice::<State>(&theirs).unwrap(), &state);
            prop_assert_eq!(&from_slice::<State>(&ours).unwrap(), &state);
        }
        let without_fractions = State { ratio: 0.0, half: 0.0, ..state };
        prop_assert_eq!(to_vec(&without_fractions).unwrap(), serde_json::to_vec(&without_fractions).unwrap());
    }

    #[test]
    fn any_value_is_read_as_serde_json_reads_it(value in values(), pretty: bool) {
        let json = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) }.unwrap();
        assert_read_alike::<Value>(&json);
        prop_assert!(skipped(&json));
        assert_read_alike::<Value>(&to_vec(&value).unwrap());
    }

    #[test]
    fn damage_is_noticed_as_serde_json_notices_it(
        value in values(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), "[ \\[\\]{},:\"\\\\u0-9eE.+-tfn\u{1}]"), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut json = serde_json::to_vec(&value).unwrap();
        for (place, byte) in damage {
            let place = place.index(json.len());
            json[place] = byte.as_bytes()[0];
        }
        assert_read_alike::<Value>(&json);
        assert_read_alike::<Value>(&json[..cut.index(json.len() + 1)]);
        match from_slice::<Value>(&json) {
            Ok(_) => prop_assert!(skipped(&json)),
            // A number that is too large is JSON, and only whoever wants its value minds.
            Err(error) => prop_assert!(!skipped(&json) || error.to_string().contains("out of range"), "{error}"),
        }
    }

    #[test]
    fn noise_never_panics(json: Vec<u8>) {
        assert_read_alike::<Value>(&json);
        let _ = from_slice::<State>(&json);
        let _ = skipped(&json);
    }
}

#[test]
fn numbers() {
    for text in [
        "0",
        "-0",
        "-1",
        "18446744073709551615",
        "18446744073709551616",
        "-9223372036854775808",
        "-9223372036854775809",
        "1.5",
        "1e3",
        "1E+2",
        "1e-7",
        "1e400",
        "-1e400",
        "01",
        "-",
        "-01",
        "1.",
        ".5",
        "+1",
        "1e",
        "1e+",
        "0x1",
        "1_0",
        "256",
        "-129",
        "127",
        "NaN",
        "Infinity",
        "2.0",
        "",
    ] {
        assert_read_alike::<Value>(text.as_bytes());
        assert_read_alike::<u64>(text.as_bytes());
        assert_read_alike::<i64>(text.as_bytes());
        assert_read_alike::<u8>(text.as_bytes());
        assert_read_alike::<i8>(text.as_bytes());
        assert_read_alike::<f64>(text.as_bytes());
        assert_read_alike::<f32>(text.as_bytes());
        assert_read_alike::<u128>(text.as_bytes());
    }
}

#[test]
fn texts() {
    for text in [
        r#""""#,
        r#""\"\\\/\b\f\n\r\t""#,
        r#""\u00e9\ud83d\udc1a\u0000""#,
        r#""\ud83d""#,
        r#""\ud83d\u0041""#,
        r#""\udc1a""#,
        r#""\u12""#,
        r#""\u12g4""#,
        r#""\x""#,
        r#""\"#,
        r#"""#,
        "\"a\u{1}\"",
        "\"\u{7f}\"",
        "\"a",
        "a\"",
        "''",
    ] {
        assert_read_alike::<String>(text.as_bytes());
        assert_read_alike::<Value>(text.as_bytes());
        assert_read_alike::<char>(text.as_bytes());
    }
    assert_read_alike::<String>(b"\"\xff\"");
    assert_read_alike::<char>("\"é\"".as_bytes());
    assert_eq!(from_slice::<&str>(b"\"borrowed\"").unwrap(), "borrowed");
}

#[test]
fn lists_and_objects() {
    for text in [
        "[]",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1,2",
        "[1,2]]",
        "[[]",
        "{}",
        r#"{"a":1,}"#,
        r#"{"a" 1}"#,
        r#"{a:1}"#,
        r#"{"a":}"#,
        r#"{"a":1 "b":2}"#,
        r#"{"a":1}{"#,
        "[}",
        "{]",
        " \n\t\r[ 1 , 2 ] ",
        "[1]x",
        "nul",
        "nullx",
        "tru",
        "truefalse",
        "",
    ] {
        assert_read_alike::<Value>(text.as_bytes());
        assert_read_alike::<(u8, u8)>(text.as_bytes());
        assert_read_alike::<Option<BTreeMap<String, u8>>>(text.as_bytes());
    }
    let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
    for depth in [1, 127, 128, 129, 1_000] {
        assert_read_alike::<Value>(&nested(depth));
    }
    assert!(skipped(&nested(127)) && !skipped(&nested(128)));
}

#[test]
fn variants() {
    for text in [
        r#""Nothing""#,
        r#"{"Nothing":null}"#,
        r#"{"One":7}"#,
        r#"{"One":null}"#,
        r#""One""#,
        r#"{"Two":[1,"a"]}"#,
        r#"{"Two":[1]}"#,
        r#"{"Two":[1,"a",3]}"#,
        r#"{"Named":{"left":true,"right":"Nothing"}}"#,
        r#"{"Named":{}}"#,
        r#""None""#,
        r#"{"One":7,"Two":8}"#,
        r#"{"Named":[true,"Nothing"]}"#,
        "{}",
        "7",
    ] {
        let is_a_struct_as_a_list = text.contains("Named\":[");
        if is_a_struct_as_a_list {
            assert!(from_slice::<Kind>(text.as_bytes()).is_err());
        } else {
            assert_read_alike::<Kind>(text.as_bytes());
        }
    }
}

#[test]
fn keys_that_are_no_text() {
    let refused = [to_vec(&BTreeMap::from([(vec![1], 2)])), to_vec(&BTreeMap::from([(Some(()), 2)]))];
    for error in refused {
        assert_eq!(error.unwrap_err().to_string(), "key must be a string");
    }
    assert_eq!(to_vec(&BTreeMap::from([(true, Some('x'))])).unwrap(), br#"{"true":"x"}"#);
    for text in [r#"{"07":true}"#, r#"{"7":true}"#, r#"{"-7":true}"#, r#"{" 7":true}"#, r#"{"x":true}"#] {
        assert_read_alike::<BTreeMap<i32, bool>>(text.as_bytes());
    }
    assert_read_alike::<BTreeMap<bool, bool>>(br#"{"true":false}"#);
    assert_read_alike::<BTreeMap<Option<String>, u8>>(br#"{"a":1}"#);
}

#[test]
fn errors_say_what_and_where() {
    let error = |json: &str| from_slice::<State>(json.as_bytes()).unwrap_err().to_string();
    assert_eq!(error(r#"{"done":-1}"#), "the number is out of range at byte 10");
    assert_eq!(error(r#"{"done":1.5}"#), "expected a whole number at byte 11");
    assert_eq!(error(r#"{"small":300}"#), "expected i8 at byte 12");
    assert_eq!(error(r#"{"kinds":["Nobody"]}"#), "unknown variant `Nobody` at byte 18");
    assert_eq!(error("[1]"), "expected an object at byte 0");
    assert_eq!(error(r#"{"done":1"#), "expected a comma or the end of the list at byte 9");
    let missing = from_slice::<Kind>(br#"{"Named":{"left":true}}"#).unwrap_err();
    assert_eq!(missing.to_string(), "missing field `right` at byte 21");
    assert_eq!(format!("{missing:?}"), missing.to_string());
}

#[test]
fn flattened_and_tagged_types_work_too() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind")]
    enum Tagged {
        Circle { radius: f64 },
        Square { side: u8 },
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Shape {
        name: String,
        #[serde(flatten)]
        tagged: Tagged,
    }
    for shape in [
        Shape { name: "a".into(), tagged: Tagged::Circle { radius: 1.5 } },
        Shape { name: "b".into(), tagged: Tagged::Square { side: 7 } },
    ] {
        let json = to_vec(&shape).unwrap();
        assert_eq!(json, serde_json::to_vec(&shape).unwrap());
        assert_eq!(from_slice::<Shape>(&json).unwrap(), shape);
    }
    assert_eq!(to_vec(&json!({"a": [1, null, "x"]})).unwrap(), br#"{"a":[1,null,"x"]}"#);
}
