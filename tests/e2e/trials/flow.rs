//! Records that are sent at a steady pace, and how they come out on the other side.

use anyhow::{Result, ensure};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A writer that is forgotten ends by itself.
const LIMIT: Duration = Duration::from_mins(10);
/// Records are sent in so many portions a second.
const PORTIONS: u64 = 20;

/// Where numbered records go.
#[derive(Clone)]
pub struct Numbers {
    /// Brokers.
    pub bootstrap: String,
    /// The topic, which is there.
    pub topic: String,
    /// Its partitions, which are written in turn.
    pub partitions: i32,
    /// Records a second.
    pub rate: u64,
    /// The value of a number.
    pub value: fn(u64) -> String,
}

/// A thread that writes 0, 1, 2 … until it is stopped.
pub struct Numbering {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Numbers {
    /// Begins to write.
    pub fn start(self) -> Numbering {
        let (stop, sent) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (stopped, counted) = (stop.clone(), sent.clone());
        let thread = std::thread::spawn(move || self.write(&stopped, &counted));
        Numbering {
            stop,
            sent,
            thread: Some(thread),
        }
    }

    fn write(&self, stop: &AtomicBool, sent: &AtomicU64) -> Result<()> {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .create()?;
        let begun = Instant::now();
        let mut number = 0;
        while !stop.load(Ordering::Acquire) && begun.elapsed() < LIMIT {
            for _ in 0..(self.rate / PORTIONS).max(1) {
                let partition = number % u64::from(self.partitions.unsigned_abs());
                let value = (self.value)(number);
                let record = BaseRecord::<(), str>::to(&self.topic)
                    .payload(&value)
                    .partition(i32::try_from(partition)?);
                producer.send(record).map_err(|(error, _)| error)?;
                number += 1;
            }
            producer.poll(Duration::ZERO);
            sent.store(number, Ordering::Release);
            std::thread::sleep(Duration::from_millis(1000 / PORTIONS));
        }
        producer.flush(Duration::from_secs(30))?;
        Ok(())
    }
}

impl Numbering {
    /// How many have been sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Acquire)
    }

    /// Ends the writing; gives how many numbers were written.
    pub fn stop(mut self) -> Result<u64> {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread
                .join()
                .map_err(|_| anyhow::anyhow!("the writer panicked"))??;
        }
        Ok(self.sent())
    }
}

impl Drop for Numbering {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// How far topics have grown, and for how long they have not.
pub struct Growth {
    consumer: BaseConsumer,
    topics: Vec<(String, i32)>,
    records: i64,
    since: Instant,
    longest: Duration,
}

impl Growth {
    /// Begins to watch topics, each with its number of partitions.
    pub fn of(bootstrap: &str, topics: &[(&str, i32)]) -> Result<Self> {
        let consumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .create()?;
        let topics = topics.iter().map(|(name, count)| ((*name).into(), *count));
        let mut growth = Self {
            consumer,
            topics: topics.collect(),
            records: 0,
            since: Instant::now(),
            longest: Duration::ZERO,
        };
        growth.look()?;
        growth.longest = Duration::ZERO;
        Ok(growth)
    }

    /// All records that were ever written to the topics.
    pub fn look(&mut self) -> Result<i64> {
        let mut records = 0;
        for (topic, partitions) in &self.topics {
            for partition in 0..*partitions {
                let limit = Duration::from_secs(10);
                let (_, end) = self.consumer.fetch_watermarks(topic, partition, limit)?;
                records += end;
            }
        }
        self.longest = self.longest.max(self.since.elapsed());
        if records != self.records {
            ensure!(records > self.records, "a topic has shrunk");
            self.records = records;
            self.since = Instant::now();
        }
        Ok(records)
    }

    /// The longest time between two looks that found more.
    pub const fn longest_silence(&self) -> Duration {
        self.longest
    }
}
