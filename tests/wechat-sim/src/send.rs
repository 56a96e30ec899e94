//! The subscribe-message API: `POST /cgi-bin/message/subscribe/send`, and the same thing as the cloud
//! function calls it from inside.
//!
//! It keeps the staff's openids and one-time permissions, and is the only place that lets a message reach
//! a phone.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use serde_json::{Value, json};

use crate::faults::{Fault, Point, What};
use crate::ledger::{Ledger, Message};
use crate::wire::{Reply, Request};
use crate::{World, errors, held, invoke, shapes, template};

/// Who may be reached, and how often. A recipient nobody spoke about has the openid `o-<recipient>` and
/// permissions without end.
#[derive(Debug, Default)]
pub(crate) struct Staff {
    openids: HashMap<String, Option<String>>,
    recipients: HashMap<String, String>,
    grants: HashMap<String, u32>,
    in_flight: HashSet<String>,
}

impl Staff {
    pub(crate) fn set_grants(&mut self, recipient: &str, grants: Option<u32>) {
        match grants {
            Some(grants) => self.grants.insert(recipient.to_owned(), grants),
            None => self.grants.remove(recipient),
        };
    }

    /// What is left, of those whose permissions have an end.
    pub(crate) fn grants(&self) -> &HashMap<String, u32> {
        &self.grants
    }

    /// One more permission; none where there are permissions without end.
    pub(crate) fn grant(&mut self, recipient: &str) {
        if let Some(left) = self.grants.get_mut(recipient) {
            *left += 1;
        }
    }

    pub(crate) fn set_openid(&mut self, recipient: &str, openid: Option<&str>) {
        if let Some(openid) = openid {
            self.recipients
                .insert(openid.to_owned(), recipient.to_owned());
        }
        self.openids
            .insert(recipient.to_owned(), openid.map(str::to_owned));
    }

    pub(crate) fn openid_of(&self, recipient: &str) -> Option<String> {
        self.openids
            .get(recipient)
            .cloned()
            .unwrap_or_else(|| Some(format!("o-{recipient}")))
    }

    fn recipient_of(&self, openid: &str) -> Option<String> {
        let recipient = self
            .recipients
            .get(openid)
            .map(String::as_str)
            .or(openid.strip_prefix("o-"))?;
        (self.openid_of(recipient).as_deref() == Some(openid)).then(|| recipient.to_owned())
    }

    /// Spends one permission.
    fn spend(&mut self, recipient: &str) -> Result<(), i32> {
        match self.grants.get_mut(recipient) {
            Some(0) => Err(43101),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// A message on its way to a person.
pub(crate) struct Order<'a> {
    pub(crate) openid: &'a str,
    pub(crate) template_id: &'a str,
    pub(crate) data: &'a Value,
    pub(crate) key: &'a str,
    pub(crate) event_type: &'a str,
    pub(crate) aggregate_id: &'a str,
    /// The code the row's script wants here.
    pub(crate) scripted: Option<i32>,
}

/// The platform accepted it.
pub(crate) struct Sent {
    pub(crate) msgid: u64,
}

/// The platform refused it.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: i32,
    /// With its request id.
    pub(crate) text: String,
}

impl From<i32> for Refusal {
    fn from(code: i32) -> Self {
        Self {
            code,
            text: errors::with_rid(errors::text(code)),
        }
    }
}

/// Lets one message reach a phone, or says why not.
pub(crate) async fn deliver(world: &Arc<World>, order: Order<'_>) -> Result<Sent, Refusal> {
    let switches = world.switches.get();
    let Some(recipient) = held(&world.staff).recipient_of(order.openid) else {
        return Err(40003.into());
    };
    let Some(template) = world
        .settings
        .templates
        .iter()
        .find(|template| template.id == order.template_id)
    else {
        return Err(40037.into());
    };
    template::check(template, order.data).map_err(|text| Refusal {
        code: 47003,
        text: errors::with_rid(&text),
    })?;
    if let Some(code) = order.scripted {
        return Err(code.into());
    }
    if switches.refuse_all {
        return Err(43101.into());
    }
    // Sending that takes no time meets nobody: many rows may share a recipient in a test of speed.
    let _line = if switches.send_ms > 0 {
        Some(Line::take(world, order.openid)?)
    } else {
        None
    };
    held(&world.staff).spend(&recipient)?;
    if switches.send_ms > 0 {
        tokio::time::sleep(Duration::from_millis(switches.send_ms)).await;
    }
    // 19 digits, above what a double can hold.
    let msgid = 1_900_000_000_000_000_000 + rand::random::<u64>() % 400_000_000_000_000_000;
    world.ledger.message(Message {
        seq: 0,
        at: Utc::now(),
        key: order.key.to_owned(),
        recipient,
        openid: order.openid.to_owned(),
        template_id: order.template_id.to_owned(),
        data: order.data.clone(),
        event_type: order.event_type.to_owned(),
        aggregate_id: order.aggregate_id.to_owned(),
        msgid: msgid.to_string(),
    });
    Ok(Sent { msgid })
}

/// One openid takes one message at a time; freed even when the function is killed in between.
struct Line<'a> {
    world: &'a World,
    openid: &'a str,
}

impl<'a> Line<'a> {
    fn take(world: &'a World, openid: &'a str) -> Result<Self, i32> {
        if held(&world.staff).in_flight.insert(openid.to_owned()) {
            Ok(Self { world, openid })
        } else {
            Err(43108)
        }
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        held(&self.world.staff).in_flight.remove(self.openid);
    }
}

/// Answers `POST /cgi-bin/message/subscribe/send`.
pub(crate) async fn answer(world: &Arc<World>, request: &Request) -> Reply {
    world.ledger.write(Ledger::direct_send);
    if request.lacks_length() {
        return Reply::status(412);
    }
    let message = match read(world, request) {
        Ok(message) => message,
        Err(code) => return Reply::json(&errors::body(code)),
    };
    let openid = message["touser"].as_str().unwrap_or("");
    let recipient = held(&world.staff).recipient_of(openid).unwrap_or_default();
    let everyone = world.switches.get().everyone.clone();
    let nth = held(&world.receipts).count_call(&format!("sent directly to {openid}"));
    let fault = Fault::parse(everyone.as_deref().unwrap_or(&recipient))
        .filter(|fault| fault.hits(true, nth));
    let scripted = match &fault {
        Some(Fault {
            what: What::Send(code) | What::Outer(code),
            ..
        }) => Some(*code),
        _ => None,
    };
    let wire = match &fault {
        Some(Fault {
            what: What::Wire(wire),
            ..
        }) => Some(*wire),
        _ => None,
    };
    if let Some(Fault {
        what: What::Slow(time),
        ..
    }) = &fault
    {
        tokio::time::sleep(*time).await;
    }
    let mut body = json!({"errcode": 0, "errmsg": "ok"});
    if wire.is_none() || fault.is_some_and(|fault| fault.point >= Point::Unmarked) {
        let template_id = message["template_id"].as_str().unwrap_or("");
        let data = &message["data"];
        let order = Order {
            openid,
            template_id,
            data,
            key: "",
            event_type: "",
            aggregate_id: "",
            scripted,
        };
        body = match deliver(world, order).await {
            Ok(sent) => json!({"errcode": 0, "errmsg": "ok", "msgid": sent.msgid}),
            Err(refusal) => json!({"errcode": refusal.code, "errmsg": refusal.text}),
        };
    }
    match wire {
        Some(wire) => shapes::broken(world, request, wire, Some(&body)),
        None => Reply::json(&body),
    }
}

fn read(world: &World, request: &Request) -> Result<Value, i32> {
    if request.method != "POST" {
        return Err(43002);
    }
    held(&world.tokens).check(request.parameter("access_token"))?;
    invoke::spend_quota(world)?;
    if request.body.is_empty() {
        return Err(44002);
    }
    let message: Value = serde_json::from_slice(&request.body).map_err(|_| 47001)?;
    if message["page"]
        .as_str()
        .is_some_and(|page| page.starts_with('/'))
    {
        return Err(41030);
    }
    // Data sent as an encoded text is one of the documented ways to get 47003.
    Ok(message)
}
