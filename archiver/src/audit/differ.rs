//! Where two JSON values differ: places and no data, since findings go into logs and tickets.

use serde_json::Value;

/// Places that are named.
const PLACES: usize = 5;

/// The places where `one` and `other` differ, as JSON pointers.
pub(super) fn places(one: &Value, other: &Value) -> String {
    let mut found = Vec::new();
    gather(one, other, &mut String::new(), &mut found);
    let more = if found.len() > PLACES { " and elsewhere" } else { "" };
    found.truncate(PLACES);
    format!("{}{more}", found.join(", "))
}

fn gather(one: &Value, other: &Value, at: &mut String, found: &mut Vec<String>) {
    if one == other || found.len() > PLACES {
        return;
    }
    let before = at.len();
    match (one, other) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let names = ours.keys().chain(theirs.keys().filter(|name| !ours.contains_key(*name)));
            for name in names {
                at.push('/');
                at.push_str(&name.replace('~', "~0").replace('/', "~1"));
                match (ours.get(name), theirs.get(name)) {
                    (Some(one), Some(other)) => gather(one, other, at, found),
                    _ => found.push(format!("{at} differs")),
                }
                at.truncate(before);
            }
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            for (place, (one, other)) in ours.iter().zip(theirs).enumerate() {
                at.push('/');
                at.push_str(&place.to_string());
                gather(one, other, at, found);
                at.truncate(before);
            }
        }
        _ => found.push(if at.is_empty() {
            "the whole of it differs".to_owned()
        } else {
            format!("{at} differs")
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_differs_is_named_and_not_shown() {
        for (one, other, named) in [
            (
                json!({"a": 1, "b": {"c/d": [1, 2]}}),
                json!({"a": 1, "b": {"c/d": [1, 3]}}),
                "/b/c~1d/1 differs",
            ),
            (json!({"a": "secret"}), json!({"b": null, "a": 7}), "/a differs, /b differs"),
            (json!([1]), json!([1, 2]), "the whole of it differs"),
            (
                json!([0, 0, 0, 0, 0, 0, 0]),
                json!([1, 1, 1, 1, 1, 1, 1]),
                "/0 differs, /1 differs, /2 differs, /3 differs, /4 differs and elsewhere",
            ),
        ] {
            assert_eq!(places(&one, &other), named);
        }
    }

    #[test]
    fn a_member_that_is_missing_is_not_the_same_as_null() {
        let found = places(&json!({"a": null}), &json!({}));
        assert_eq!(found, "/a differs");
    }
}
