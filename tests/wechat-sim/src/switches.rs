//! What can be changed while the simulator runs, for everybody at once; by a test through
//! [`Switchboard::set`], by anybody else through `POST /sim/switch`.
//!
//! What should hit one recipient only is scripted by the recipient's name instead (see `faults`).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use crate::held;

/// The switches; the default is a WeChat in good health.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Switches {
    /// Connections are accepted and closed without an answer.
    pub down: bool,
    /// Every WeChat path answers HTTP 500.
    pub http_500: bool,
    /// Every person refuses (43101).
    pub refuse_all: bool,
    /// Added before every answer.
    pub latency_ms: u64,
    /// The token endpoints refuse the secret with `wrong_secret_code`.
    pub wrong_secret: bool,
    /// 40125, or 40001 as some accounts see it. Also the answer to a secret that really is wrong.
    pub wrong_secret_code: i32,
    /// The token endpoints answer this code until it is cleared, such as 40164.
    pub token_refusal: Option<i32>,
    /// The next answers of the token endpoints, one each.
    pub next_token_answers: VecDeque<TokenAnswer>,
    /// 10,000 at WeChat; then 45011.
    pub token_calls_per_minute: u32,
    /// 500,000 at WeChat; then 45009.
    pub token_calls_per_day: u32,
    /// The day's quota of `invokecloudfunction` and of sending is used up (45009).
    pub quota_used_up: bool,
    /// Calls left before that happens by itself.
    pub quota_left: Option<u64>,
    /// The receiver keeps no receipts: every call sends.
    pub receipts_off: bool,
    /// The function throws at its first line, as after a broken deployment.
    pub code_error: bool,
    /// The stock `quickstartFunctions` is deployed: it knows none of our types and returns `undefined`.
    pub stock_function: Option<UndefinedForm>,
    /// The function deployed is older than `grants`: it does not know that type.
    pub before_grants: bool,
    /// Everybody behaves as this recipient would, such as `outer-n501005` or `hang`.
    pub everyone: Option<String>,
    /// How a function that threw or was cut off looks from outside.
    pub error_form: ErrorForm,
    /// The function's own timeout: 3 s unless the console was used.
    pub function_timeout_ms: u64,
    /// A call through the HTTP API is cut here, whatever the function's own timeout.
    pub http_cut_ms: u64,
    /// Whether the function goes on after that cut. Nobody knows; a sender must survive both.
    pub runs_on_after_cut: bool,
    /// How long a receipt may say `sending` before the receiver answers `unknown` instead of `in_progress`.
    pub claim_old_after_ms: u64,
    /// How long the receiver waits for the send before it answers `unknown`.
    pub send_limit_ms: u64,
    /// How long sending itself takes; a second send to the same openid meanwhile gets 43108.
    pub send_ms: u64,
}

/// The three documented guesses at how a failing function looks through the HTTP API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorForm {
    /// Outer errcode -504002 or -504003, no `resp_data`.
    Outer,
    /// The same with a `resp_data`.
    OuterWithData,
    /// Outer errcode 0, the runtime's error object in `resp_data`.
    Inner,
    /// No answer at all.
    Hang,
}

/// How `undefined` looks in the reply. Unknown, so all four.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UndefinedForm {
    /// No `resp_data`.
    Missing,
    /// `""`.
    Empty,
    /// `"null"`.
    TextNull,
    /// `null`.
    Null,
}

/// One scripted answer of a token endpoint: an errcode, or the name of a wire fault (see
/// [`crate::faults`]), such as `http-500` or `hang`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TokenAnswer {
    Code(i32),
    Fault(String),
}

/// A handle on the switches of a running simulator.
#[derive(Debug)]
pub struct Switchboard(Mutex<Arc<Switches>>);

impl Switchboard {
    pub(crate) fn new(switches: Switches) -> Self {
        Self(Mutex::new(Arc::new(switches)))
    }

    /// How they stand now.
    pub fn get(&self) -> Arc<Switches> {
        Arc::clone(&held(&self.0))
    }

    /// Changes them, and hands back what `change` gives.
    pub fn set<T>(&self, change: impl FnOnce(&mut Switches) -> T) -> T {
        change(Arc::make_mut(&mut held(&self.0)))
    }

    /// All as at the start of a healthy WeChat.
    pub fn reset(&self) {
        self.set(|switches| *switches = Switches::default());
    }
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            down: false,
            http_500: false,
            refuse_all: false,
            latency_ms: 0,
            wrong_secret: false,
            wrong_secret_code: 40125,
            token_refusal: None,
            next_token_answers: VecDeque::new(),
            token_calls_per_minute: 10_000,
            token_calls_per_day: 500_000,
            quota_used_up: false,
            quota_left: None,
            receipts_off: false,
            code_error: false,
            stock_function: None,
            before_grants: false,
            everyone: None,
            error_form: ErrorForm::Outer,
            function_timeout_ms: 3_000,
            http_cut_ms: 5_000,
            runs_on_after_cut: true,
            claim_old_after_ms: 30_000,
            send_limit_ms: 3_000,
            send_ms: 0,
        }
    }
}
