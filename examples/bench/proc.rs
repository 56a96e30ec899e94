//! What processes cost, as the kernel counts it. Linux only: elsewhere every figure reads 0.

use std::fs;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cpu {
    /// Seconds of all its threads, user and system.
    pub(crate) own: f64,
    /// Seconds of its children that have ended and been waited for.
    pub(crate) of_ended_children: f64,
}

/// A process that has ended and was not waited for yet still answers.
pub(crate) fn cpu(pid: u32) -> Cpu {
    read_cpu(&format!("/proc/{pid}/stat"))
}

/// One thread of this process.
pub(crate) fn cpu_of_thread(thread: i32) -> f64 {
    read_cpu(&format!("/proc/self/task/{thread}/stat")).own
}

fn read_cpu(path: &str) -> Cpu {
    let stat = fs::read_to_string(path).unwrap_or_default();
    // The name in parentheses may hold anything; the fields behind it are counted from the third.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks: Vec<u64> = fields
        .split_whitespace()
        .skip(11)
        .take(4)
        .filter_map(|field| field.parse().ok())
        .collect();
    let [user, system, ended_user, ended_system] = ticks[..] else {
        return Cpu::default();
    };
    Cpu {
        own: seconds(user + system),
        of_ended_children: seconds(ended_user + ended_system),
    }
}

/// Seconds that all cores of the machine have worked since it was started, for whomever, its host included.
pub(crate) fn machine() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    // user, nice, system, idle, iowait, irq, softirq, steal
    let fields: Vec<u64> = stat
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|field| field.parse().ok())
        .collect();
    let [user, nice, system, _idle, _iowait, irq, softirq, steal] = fields[..] else {
        return 0.0;
    };
    seconds(user + nice + system + irq + softirq + steal)
}

fn seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

pub(crate) fn children(pid: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// Megabytes in memory now.
pub(crate) fn rss(pid: u32) -> f64 {
    megabytes(pid, "VmRSS:")
}

/// The most there were.
pub(crate) fn peak_rss(pid: u32) -> f64 {
    megabytes(pid, "VmHWM:")
}

fn megabytes(pid: u32, line: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kilobytes = status.lines().find_map(|l| {
        l.strip_prefix(line)?
            .split_whitespace()
            .next()?
            .parse::<f64>()
            .ok()
    });
    kilobytes.unwrap_or(0.0) / 1024.0
}
