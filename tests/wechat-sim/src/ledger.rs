//! What the simulator received and what reached a phone, as tests read it.
//!
//! The ledger only tells; what may happen is decided elsewhere. `keeper` writes it.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One message that reached a phone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Message {
    /// From 1, without gaps.
    pub seq: u64,
    pub at: DateTime<Utc>,
    /// The notification's key; empty for a message sent directly.
    pub key: String,
    pub recipient: String,
    pub openid: String,
    pub template_id: String,
    pub data: Value,
    pub event_type: String,
    pub aggregate_id: String,
    /// Above 2^53, therefore a text.
    pub msgid: String,
}

/// One call of `invokecloudfunction`. It stands in the ledger from its arrival on.
#[derive(Clone, Debug, Serialize)]
pub struct Call {
    pub seq: u64,
    pub at: DateTime<Utc>,
    /// Empty when the event had none.
    pub key: String,
    /// `notify`, `inquire`, `seal`, or whatever was sent.
    pub kind: String,
    pub attempt: i64,
    pub epoch: i64,
    pub recipient: String,
    pub event_type: String,
    /// What the caller got, in a few words such as `sent`, `refused 43101`, `outer -504002`, `hang`.
    /// `None` while the call is in flight.
    pub answered: Option<String>,
}

/// One call of a token endpoint.
#[derive(Clone, Debug, Serialize)]
pub struct TokenCall {
    pub seq: u64,
    pub at: DateTime<Utc>,
    /// `stable_token`, otherwise `token`.
    pub is_stable: bool,
    pub is_forced: bool,
    /// `ok`, an errcode, or the name of a fault.
    pub answered: String,
    /// The token handed out.
    pub token: Option<String>,
}

/// Everything received since the start.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    messages: Vec<Arc<Message>>,
    calls: Vec<Arc<Call>>,
    token_calls: Vec<Arc<TokenCall>>,
    by_key: HashMap<Arc<str>, Entries>,
    direct_sends: u64,
    in_flight: usize,
    max_concurrent: usize,
    redirects_followed: u64,
    referers: u64,
}

/// Where one key stands in the lists.
#[derive(Clone, Debug, Default)]
struct Entries {
    messages: Vec<u32>,
    calls: Vec<u32>,
}

impl Ledger {
    /// Every message, in order.
    pub fn messages(&self) -> &[Arc<Message>] {
        &self.messages
    }

    /// The messages of one key: one, if all is well.
    pub fn messages_of(&self, key: impl ToString) -> Vec<&Message> {
        self.entries(&key.to_string())
            .messages
            .iter()
            .map(|&at| &*self.messages[at as usize])
            .collect()
    }

    /// The messages that reached one recipient.
    pub fn messages_to(&self, recipient: &str) -> Vec<&Message> {
        self.messages
            .iter()
            .map(|message| &**message)
            .filter(|message| message.recipient == recipient)
            .collect()
    }

    /// The keys that reached a phone more than once: none, if all is well.
    pub fn twice(&self) -> Vec<&str> {
        self.by_key
            .iter()
            .filter(|(_, entries)| entries.messages.len() > 1)
            .map(|(key, _)| &**key)
            .collect()
    }

    /// Every call of `invokecloudfunction`, in order of arrival, refused ones included.
    pub fn calls(&self) -> &[Arc<Call>] {
        &self.calls
    }

    /// The calls of one key, in order of arrival.
    pub fn calls_of(&self, key: impl ToString) -> Vec<&Call> {
        self.entries(&key.to_string())
            .calls
            .iter()
            .map(|&at| &*self.calls[at as usize])
            .collect()
    }

    /// Every key seen in a call or a message, with its number of calls and of messages.
    pub fn keys(&self) -> impl Iterator<Item = (&str, usize, usize)> {
        self.by_key
            .iter()
            .map(|(key, entries)| (&**key, entries.calls.len(), entries.messages.len()))
    }

    /// Every call of the two token endpoints.
    pub fn token_calls(&self) -> &[Arc<TokenCall>] {
        &self.token_calls
    }

    /// Every token handed out, for a search through logs and pages.
    pub fn tokens(&self) -> Vec<&str> {
        self.token_calls
            .iter()
            .filter_map(|call| call.token.as_deref())
            .collect()
    }

    /// Calls of `subscribe/send` over HTTP.
    pub fn direct_sends(&self) -> u64 {
        self.direct_sends
    }

    /// Calls of `invokecloudfunction` open right now.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// The most that were ever open at once.
    pub fn max_concurrent(&self) -> usize {
        self.max_concurrent
    }

    /// Connections to the host that a redirect pointed to: none, if all is well.
    pub fn redirects_followed(&self) -> u64 {
        self.redirects_followed
    }

    /// Requests with a `Referer`: none, if all is well.
    pub fn referers(&self) -> u64 {
        self.referers
    }

    fn entries(&self, key: &str) -> &Entries {
        static NOTHING: Entries = Entries {
            messages: Vec::new(),
            calls: Vec::new(),
        };
        self.by_key.get(key).unwrap_or(&NOTHING)
    }

    fn entries_mut(&mut self, key: &str) -> Option<&mut Entries> {
        if key.is_empty() {
            return None;
        }
        if !self.by_key.contains_key(key) {
            self.by_key.insert(key.into(), Entries::default());
        }
        self.by_key.get_mut(key)
    }

    pub(crate) fn message_went_out(&mut self, mut message: Message) -> Arc<Message> {
        message.seq = self.messages.len() as u64 + 1;
        let at = self.messages.len() as u32;
        if let Some(entries) = self.entries_mut(&message.key) {
            entries.messages.push(at);
        }
        let message = Arc::new(message);
        self.messages.push(Arc::clone(&message));
        message
    }

    /// A call arrived; its number.
    pub(crate) fn call_begins(&mut self, mut call: Call) -> u64 {
        let at = self.calls.len() as u32;
        call.seq = u64::from(at) + 1;
        if let Some(entries) = self.entries_mut(&call.key) {
            entries.calls.push(at);
        }
        self.calls.push(Arc::new(call));
        self.in_flight += 1;
        self.max_concurrent = self.max_concurrent.max(self.in_flight);
        u64::from(at) + 1
    }

    /// What the call with this number is answered.
    pub(crate) fn call_answered(&mut self, seq: u64, answered: String) {
        Arc::make_mut(&mut self.calls[seq as usize - 1]).answered = Some(answered);
    }

    /// The reply has been written.
    pub(crate) fn call_is_over(&mut self) {
        self.in_flight -= 1;
    }

    pub(crate) fn token_was_asked(&mut self, mut call: TokenCall) {
        call.seq = self.token_calls.len() as u64 + 1;
        self.token_calls.push(Arc::new(call));
    }

    pub(crate) fn direct_send(&mut self) {
        self.direct_sends += 1;
    }

    pub(crate) fn redirect_was_followed(&mut self) {
        self.redirects_followed += 1;
    }

    pub(crate) fn saw_referer(&mut self) {
        self.referers += 1;
    }
}
