//! A page as a browser takes it apart.

use std::collections::BTreeSet;

use html5gum::{DefaultEmitter, Token, Tokenizer};

use super::assert_harmless;

/// An element or an attribute of one, such as `a` and `a href`.
pub(super) type Words = BTreeSet<String>;

/// The elements and attributes of this page. What it shows does no harm, and its links lead into the desk.
#[track_caller]
pub(super) fn words(place: &str, html: &str) -> Words {
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    let mut words = Words::new();
    for token in Tokenizer::new_with_emitter(html, emitter) {
        match token.unwrap() {
            Token::StartTag(tag) => {
                let name = text(&tag.name);
                for (attribute, value) in &tag.attributes {
                    let (attribute, value) = (text(attribute), text(&value.value));
                    // What a form sends back has to be what it was.
                    if !["name", "value"].contains(&&*attribute) {
                        assert_harmless(place, &value, &[]);
                    }
                    let leads = ["href", "src", "action", "formaction", "hx-get", "hx-post"];
                    let inside = ["/", "?", "#"].iter().any(|it| value.starts_with(it));
                    if leads.contains(&&*attribute) {
                        assert!(
                            inside && !value.starts_with("//"),
                            "{place}: {attribute}={value}"
                        );
                    }
                    words.insert(format!("{name} {attribute}"));
                }
                words.insert(name);
            }
            Token::String(shown) => assert_harmless(place, &text(&shown.value), &['\n']),
            Token::Comment(_) => {
                words.insert("<!--".to_owned());
            }
            Token::EndTag(_) | Token::Doctype(_) | Token::Error(_) => {}
        }
    }
    words
}

/// Nothing on this page that the pages with plain text did not have.
#[track_caller]
pub(super) fn assert_knows(known: &Words, place: &str, html: &str) {
    let strange: Vec<String> = words(place, html).difference(known).cloned().collect();
    assert!(strange.is_empty(), "{place}: {strange:?} in\n{html}");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
