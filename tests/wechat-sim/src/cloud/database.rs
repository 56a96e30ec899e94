//! The cloud database, as far as the function uses it: documents by `_id`, questions by equality, `$in` and
//! `$gt`, updates by `$set` and `$inc`.
//!
//! Values stay as the SDK writes them, Extended JSON with a wrapper around each number: two that are equal are
//! written alike. What it does not know it refuses, so that no test passes on a misreading.

use std::collections::{BTreeMap, HashMap};

use chrono::Utc;
use serde_json::{Map, Value, json};

/// All collections. One that nobody made does not exist: writing does not make it.
#[derive(Debug)]
pub(crate) struct Database(HashMap<String, BTreeMap<String, Map<String, Value>>>);

impl Default for Database {
    fn default() -> Self {
        let names = ["outboxd_receipts", "outboxd_grants"];
        Self(names.map(|name| (name.to_owned(), BTreeMap::new())).into())
    }
}

impl Database {
    /// Answers one request.
    pub(crate) fn answer(&mut self, request: &Value) -> Value {
        let name = request["collectionName"].as_str().unwrap_or("");
        let Some(documents) = self.0.get_mut(name) else {
            return failure(
                -502_005,
                &format!("[ResourceNotFound] Db or Table not exist: {name}"),
            );
        };
        let query = object(&request["query"]);
        let matching = documents
            .values_mut()
            .filter(|document| fits(document, &query));
        match request["action"].as_str() {
            Some("database.insertDocument") => insert(documents, object(&request["data"][0])),
            Some("database.getDocument") => {
                let limit = request["limit"].as_u64().unwrap_or(100);
                let limit = usize::try_from(limit).unwrap_or(100);
                let list: Vec<String> = matching
                    .take(limit)
                    .map(|document| Value::from(document.clone()).to_string())
                    .collect();
                json!({"data": {"list": list}})
            }
            Some("database.modifyDocument") if request["merge"] == true => {
                let change = object(&request["data"]);
                let mut updated = 0;
                for document in matching {
                    update(document, &change);
                    updated += 1;
                }
                json!({"data": {"updated": updated}})
            }
            _ => failure(-501_001, "the simulator does not know this request"),
        }
    }
}

/// How the database says no. The SDK makes its own numbers of these names.
pub(crate) fn failure(code: i32, message: &str) -> Value {
    let name = match code {
        -501_002 => "SERVER_TIMEOUT",
        -501_003 => "EXCEED_REQUEST_LIMIT",
        -502_001 => "DATABASE_REQUEST_FAILED",
        -502_003 => "DATABASE_PERMISSION_DENIED",
        -502_005 => "DATABASE_COLLECTION_NOT_EXIST",
        _ => "SYS_ERR",
    };
    json!({"code": name, "message": message})
}

fn insert(
    documents: &mut BTreeMap<String, Map<String, Value>>,
    mut document: Map<String, Value>,
) -> Value {
    let id = document.get("_id").and_then(Value::as_str).unwrap_or("");
    let id = id.to_owned();
    if documents.contains_key(&id) {
        let text = format!(
            "[FailedOperation] multiple write errors: [{{write errors: [{{E11000 duplicate key error collection: \
             tnt-sim index: _id_ dup key: {{ : \"{id}\" }}}}]}}, {{<nil>}}]"
        );
        return failure(-502_001, &text);
    }
    for value in document.values_mut() {
        settle(value);
    }
    documents.insert(id.clone(), document);
    json!({"data": {"insertedIds": [id]}})
}

/// A text of Extended JSON as an object; empty when it is none.
fn object(text: &Value) -> Map<String, Value> {
    serde_json::from_str(text.as_str().unwrap_or("{}")).unwrap_or_default()
}

fn fits(document: &Map<String, Value>, query: &Map<String, Value>) -> bool {
    query.iter().all(|(name, wanted)| {
        let held = document.get(name).unwrap_or(&Value::Null);
        match wanted.as_object() {
            Some(asked) if asked.contains_key("$in") => asked["$in"]
                .as_array()
                .is_some_and(|all| all.contains(held)),
            Some(asked) if asked.contains_key("$gt") => number(held) > number(&asked["$gt"]),
            _ => held == wanted,
        }
    })
}

fn update(document: &mut Map<String, Value>, change: &Map<String, Value>) {
    let written = change.get("$set").and_then(Value::as_object);
    for (name, value) in written.into_iter().flatten() {
        let mut value = value.clone();
        settle(&mut value);
        document.insert(name.clone(), value);
    }
    let counted = change.get("$inc").and_then(Value::as_object);
    for (name, by) in counted.into_iter().flatten() {
        let before = document.get(name).and_then(number).unwrap_or(0);
        let after = before + number(by).unwrap_or(0);
        document.insert(name.clone(), json!({"$numberInt": after.to_string()}));
    }
}

/// The server's date is written when the document is.
fn settle(value: &mut Value) {
    if value.get("$tcb_server_date").is_some() {
        let now = Utc::now().timestamp_millis().to_string();
        *value = json!({"$date": {"$numberLong": now}});
    }
}

fn number(value: &Value) -> Option<i64> {
    let text = value.get("$numberInt").or(value.get("$numberLong"))?;
    text.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(database: &mut Database, action: &str, more: Value) -> Value {
        let mut request =
            json!({"action": format!("database.{action}"), "collectionName": "outboxd_receipts"});
        for (name, value) in more.as_object().unwrap() {
            request[name] = value.clone();
        }
        database.answer(&request)
    }

    #[test]
    fn of_two_writes_that_start_from_one_state_one_succeeds() {
        let mut database = Database::default();
        let document = json!({"data": [r#"{"_id":"k","state":"refused","n":{"$numberInt":"3"}}"#]});
        let added = ask(&mut database, "insertDocument", document.clone());
        assert_eq!(added["data"]["insertedIds"][0], "k");
        let again = ask(&mut database, "insertDocument", document);
        assert!(
            again["message"].as_str().unwrap().contains("E11000"),
            "{again}"
        );

        let change = json!({"merge": true, "query": r#"{"_id":"k","state":"refused"}"#,
            "data": r#"{"$set":{"state":"sending"},"$inc":{"n":{"$numberInt":"-1"}}}"#});
        let first = ask(&mut database, "modifyDocument", change.clone());
        let second = ask(&mut database, "modifyDocument", change);
        assert_eq!(
            (&first["data"]["updated"], &second["data"]["updated"]),
            (&json!(1), &json!(0))
        );
        let question = json!({"query": r#"{"n":{"$gt":{"$numberInt":"1"}}}"#, "limit": 1});
        let found = ask(&mut database, "getDocument", question);
        let found: Value =
            serde_json::from_str(found["data"]["list"][0].as_str().unwrap()).unwrap();
        assert_eq!(
            found,
            json!({"_id": "k", "state": "sending", "n": {"$numberInt": "2"}})
        );
    }

    #[test]
    fn writing_makes_no_collection() {
        let request =
            json!({"action": "database.insertDocument", "collectionName": "other", "data": ["{}"]});
        assert_eq!(
            Database::default().answer(&request)["code"],
            "DATABASE_COLLECTION_NOT_EXIST"
        );
    }
}
