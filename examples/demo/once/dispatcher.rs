//! Whoever assigns in the script: picks customers and people by the seed, calls the CRM's endpoints over
//! HTTP as its own page would, and notes when each transaction had committed.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Utc};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;
use uuid::Uuid;

use crate::crm::{self, Assigned, Owner};
use crate::stage::Stage;

pub(super) struct Dispatcher<'a> {
    stage: &'a Stage,
    rng: StdRng,
    /// Nobody's yet.
    customers: VecDeque<i64>,
    /// When each notification's transaction had committed, by the CRM's clock.
    pub(super) committed: HashMap<Uuid, DateTime<Utc>>,
}

impl<'a> Dispatcher<'a> {
    /// Fresh customers for this run, so that it can be played on a used database.
    pub(super) async fn new(stage: &'a Stage, seed: u64) -> Result<Dispatcher<'a>> {
        let customers = crm::new_leads(&stage.pool, 200, Owner::Nobody)
            .await?
            .into();
        let rng = StdRng::seed_from_u64(seed);
        Ok(Dispatcher {
            stage,
            rng,
            customers,
            committed: HashMap::new(),
        })
    }

    pub(super) fn next_customer(&mut self) -> Result<i64> {
        self.customers.pop_front().context("no customers left")
    }

    pub(super) async fn assign_one(&mut self, people: &[&str]) -> Result<()> {
        let customer = self.next_customer()?;
        let person = self.somebody(people)?;
        self.assign_this(customer, person).await?;
        self.pause(5..40).await;
        Ok(())
    }

    /// A coin decides whether it was done on the web or in the mini program.
    pub(super) async fn assign_this(&mut self, customer: i64, person: &str) -> Result<()> {
        let place = if self.rng.random() {
            "customers/miniprogram"
        } else {
            "customers"
        };
        let path = format!("/api/{place}/{customer}/assign");
        self.send(
            Method::PATCH,
            &path,
            &json!({"assignedTo": person, "assignedBy": "script"}),
        )
        .await
    }

    pub(super) async fn assign_batch(&mut self, size: usize, people: &[&str]) -> Result<()> {
        let customers: Vec<i64> = self.customers.drain(..size).collect();
        let body = json!({"customerIds": customers, "assignedTo": self.somebody(people)?, "assignedBy": "script"});
        self.send(Method::POST, "/api/customers/batch-assign", &body)
            .await
    }

    pub(super) async fn assign_from_pool(&mut self, size: usize, people: &[&str]) -> Result<()> {
        let customers: Vec<i64> = self.customers.drain(..size).collect();
        let body = json!({"customerIds": customers, "assignedTo": self.somebody(people)?, "assignedBy": "script"});
        self.send(Method::POST, "/api/customers/public-pool/assign", &body)
            .await
    }

    async fn send(&mut self, method: Method, path: &str, body: &Value) -> Result<()> {
        let request = self
            .stage
            .http
            .request(method, format!("{}{path}", self.stage.url()))
            .header("content-type", "application/json")
            .body(body.to_string());
        let response = request.send().await.context("call the CRM")?;
        let status = response.status();
        let answer = response.bytes().await?;
        ensure!(
            status.is_success(),
            "{path}: {status}: {}",
            String::from_utf8_lossy(&answer)
        );
        let answer: Assigned = serde_json::from_slice(&answer)?;
        for line in answer.assigned {
            self.committed
                .insert(line.notification_key, answer.committed_at);
        }
        Ok(())
    }

    fn somebody<'p>(&mut self, people: &[&'p str]) -> Result<&'p str> {
        people
            .choose(&mut self.rng)
            .copied()
            .context("nobody to assign to")
    }

    pub(super) async fn pause(&mut self, ms: Range<u64>) {
        sleep(Duration::from_millis(self.rng.random_range(ms))).await;
    }
}
