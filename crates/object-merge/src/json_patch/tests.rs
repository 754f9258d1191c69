//! Operations, and refusals in the words of upstream's library.

use serde_json::json;

use super::*;

fn patched(patch: Value) -> Result<Value, PatchError> {
    apply(&json!({"a": {"b": [1, 2, 3]}, "k/~": 1}), &patch)
}

#[test]
fn operations_change_the_document() {
    for (patch, pointer, wanted) in [
        (json!([{"op": "add", "path": "/a/c", "value": 1}]), "/a/c", json!(1)),
        (
            json!([{"op": "add", "path": "/a/b/1", "value": 9}]),
            "/a/b",
            json!([1, 9, 2, 3]),
        ),
        (
            json!([{"op": "add", "path": "/a/b/-", "value": 9}]),
            "/a/b",
            json!([1, 2, 3, 9]),
        ),
        (
            json!([{"op": "replace", "path": "/a/b/0", "value": 9}]),
            "/a/b",
            json!([9, 2, 3]),
        ),
        (json!([{"op": "remove", "path": "/a/b/-1"}]), "/a/b", json!([1, 2])),
        (
            json!([{"op": "move", "from": "/a/b", "path": "/c"}]),
            "/c",
            json!([1, 2, 3]),
        ),
        (json!([{"op": "copy", "from": "/a/b/2", "path": "/c"}]), "/c", json!(3)),
        (
            json!([{"op": "test", "path": "/k~1~0", "value": 1.0}]),
            "/a/b/0",
            json!(1),
        ),
        (
            json!([{"op": "test", "path": "/absent", "value": null}]),
            "/a/b/0",
            json!(1),
        ),
    ] {
        let result = patched(patch.clone()).unwrap_or_else(|error| panic!("{patch}: {error}"));
        assert_eq!(result.pointer(pointer), Some(&wanted), "{patch}");
    }
}

#[test]
fn refusals_are_worded_as_upstream() {
    for (patch, code, message) in [
        (
            json!({}),
            400,
            "json: cannot unmarshal object into Go value of type jsonpatch.Patch",
        ),
        (
            json!([{"op": "test", "path": "/a", "value": 1}]),
            422,
            "testing value /a failed: test failed",
        ),
        (
            json!([{"op": "replace", "path": "/x", "value": 1}]),
            422,
            "replace operation does not apply: doc is missing key: /x: missing value",
        ),
        (
            json!([{"op": "remove", "path": "/x"}]),
            422,
            "error in remove for path: '/x': Unable to remove nonexistent key: x: missing value",
        ),
        (
            json!([{"op": "add", "path": "/x/y", "value": 1}]),
            422,
            "add operation does not apply: doc is missing path: \"/x/y\": missing value",
        ),
        (json!([{"op": "boom", "path": "/x"}]), 422, "Unexpected kind: boom"),
    ] {
        let error = patched(patch).unwrap_err();
        assert_eq!((error.code(), error.to_string().as_str()), (code, message));
    }
    let many = vec![json!({"op": "test", "path": "/a", "value": 1}); 10_001];
    assert_eq!(patched(Value::Array(many)).unwrap_err().code(), 413);
}
