//! What must hold for any answer whatever.

use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::tests::{OTHER, OURS, answer, from_function, inquire, notify, ours, seal, sent};

fn one_of(values: &[Value]) -> impl Strategy<Value = Value> + use<> {
    proptest::sample::select(values.to_vec())
}

proptest! {
    // A case found is written into the tables, not into a file beside them.
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic_and_none_deliver(status in 0_u16..1000, body in proptest::collection::vec(any::<u8>(), 0..600)) {
        let answer = answer(status, body);
        prop_assert!(!matches!(notify(&answer).as_str(), "delivered" | "duplicate"));
        inquire(&answer);
        seal(&answer);
    }

    #[test]
    fn no_mutation_of_a_good_answer_panics(at in 0_usize..200, byte in any::<u8>(), status in 100_u16..600) {
        let mut body = from_function(&sent()).body;
        let at = at % body.len();
        body[at] = byte;
        let answer = answer(status, body);
        notify(&answer);
        inquire(&answer);
        seal(&answer);
    }

    /// The promise itself: delivered exactly when all five conditions hold.
    #[test]
    fn delivered_needs_all_five(
        status in proptest::sample::select(vec![200_u16, 200, 200, 204, 301, 412, 500]),
        errcode in one_of(&[json!(0), json!(0), json!("0"), json!(-1), json!(40001), json!(null)]),
        ok in one_of(&[json!(true), json!(true), json!(false), json!("true"), json!(null)]),
        state in one_of(&[json!("sent"), json!("sent"), json!("refused"), json!("unknown"), json!("SENT"), json!(1)]),
        key in one_of(&[json!(OURS), json!(OURS), json!(OTHER), json!(""), json!(null)]),
        code in one_of(&[json!(0), json!(43101), json!(-1), json!(null)]),
        layers in 0..4,
    ) {
        let mut wrapped = json!({"ok": ok, "state": state, "key": key, "code": code});
        for _ in 0..layers {
            wrapped = Value::String(wrapped.to_string());
        }
        let body = json!({"errcode": errcode, "resp_data": wrapped}).to_string();
        let expected = (200..300).contains(&status)
            && (errcode == json!(0) || errcode == json!("0"))
            && ok == json!(true)
            && state == json!("sent")
            && key.as_str().and_then(|key| key.parse::<Uuid>().ok()) == Some(ours().0);
        prop_assert_eq!(notify(&answer(status, body)) == "delivered", expected);
    }
}
