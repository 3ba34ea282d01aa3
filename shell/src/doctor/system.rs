//! Findings about the rest of the system: clocks, memory, limits, network.

use super::finding::Finding;
use super::machine::Machine;

/// Open files: a connection takes one, a log a few.
const FILES_MIN: u64 = 4_096;
/// Locked memory that keeps rings and tables out of swap.
const MEMLOCK_MIN: u64 = 64 << 20;
/// Socket buffers that take a burst of market data in.
const SOCKET_BUFFER_MIN: u64 = 4 << 20;

pub(super) fn find(machine: &Machine) -> Vec<Finding> {
    vec![
        clock_source(machine).matters(),
        counter(machine).matters(),
        synchronised(machine),
        huge_pages(machine),
        swap(machine),
        limit(machine, "open files", "Max open files", FILES_MIN, "nofile"),
        limit(machine, "locked memory", "Max locked memory", MEMLOCK_MIN, "memlock"),
        limit(machine, "real-time priority", "Max realtime priority", 1, "rtprio"),
        busy_poll(machine),
        socket_buffers(machine),
        kernel(machine),
    ]
}

fn clock_source(machine: &Machine) -> Finding {
    let name = "clock source";
    match machine.read("sys/devices/system/clocksource/clocksource0/current_clocksource") {
        Err(why) => Finding::unknown(name, why),
        Ok(source) if source == "tsc" => Finding::good(name, source),
        Ok(source) if source == "kvm-clock" || source == "hyperv_clocksource_tsc_page" => {
            Finding::warn(
                name,
                source,
                "switch to tsc when the host keeps it constant (clocksource=tsc tsc=reliable)",
            )
        }
        Ok(source) => Finding::bad(
            name,
            source.escape_debug().to_string(),
            "each reading is a call of the system: find out in the kernel log why it gave tsc up",
        ),
    }
}

/// What [`crate::clock::Stopwatch`] reads: the time stamp counter needs these flags to be trusted.
fn counter(machine: &Machine) -> Finding {
    let name = "time stamp counter";
    let flags = match machine.field("proc/cpuinfo", "flags") {
        Ok(flags) => flags,
        Err(why) => return Finding::unknown(name, why),
    };
    let has = |name: &str| flags.split_whitespace().any(|flag| flag == name);
    let missing: Vec<&str> =
        ["constant_tsc", "nonstop_tsc", "rdtscp"].into_iter().filter(|flag| !has(flag)).collect();
    if missing.is_empty() {
        return Finding::good(name, "constant, never stops: latency stamps read it directly");
    }
    Finding::warn(
        name,
        format!("without {}: latency stamps ask the system", missing.join(", ")),
        "use a machine, or a virtual machine type, that shows an invariant counter",
    )
}

/// No call without `unsafe` asks the kernel for its offset here, so what services leave behind must
/// do; where they leave nothing, the honest answer is that it is not known.
fn synchronised(machine: &Machine) -> Finding {
    let name = "system clock";
    if machine.exists("run/systemd/timesync/synchronized") {
        return Finding::good(name, "synchronised, by systemd-timesyncd");
    }
    let services = [
        ("run/chrony/chronyd.pid", "chronyd", "chronyc tracking"),
        ("run/chronyd.pid", "chronyd", "chronyc tracking"),
        ("run/ntpd.pid", "ntpd", "ntpq -p"),
        ("run/ptp4l", "ptp4l", "pmc -u -b 0 'GET CURRENT_DATA_SET'"),
    ];
    for (path, service, command) in services {
        if machine.exists(path) {
            let mut finding =
                Finding::unknown(name, format!("{service} runs, its offset is its own"));
            finding.remedy = format!("ask it: {command}");
            return finding;
        }
    }
    let mut finding = Finding::unknown(name, "no time service is seen");
    finding.remedy = "run chronyd: venues refuse requests whose time stamp is off".to_owned();
    finding
}

fn huge_pages(machine: &Machine) -> Finding {
    let name = "transparent huge pages";
    match machine.read("sys/kernel/mm/transparent_hugepage/enabled") {
        Err(why) => Finding::unknown(name, why),
        Ok(text) if text.contains("[always]") => Finding::warn(
            name,
            "always",
            "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled: merging pages stalls a \
             thread for milliseconds",
        ),
        Ok(text) if text.contains("[madvise]") => Finding::good(name, "madvise"),
        Ok(text) if text.contains("[never]") => Finding::good(name, "never"),
        Ok(text) => Finding::unknown(name, format!("\"{}\"", text.escape_debug())),
    }
}

fn swap(machine: &Machine) -> Finding {
    let name = "swap";
    let total = machine.field("proc/meminfo", "SwapTotal");
    let kib = total.as_deref().map(|text| text.trim_end_matches("kB").trim().parse::<u64>());
    match kib {
        Ok(Ok(0)) => Finding::good(name, "none"),
        Ok(Ok(kib)) => Finding::warn(
            name,
            format!("{} MiB", kib / 1024),
            "swapoff -a, or vm.swappiness = 0 and a memlock limit",
        ),
        Ok(Err(_)) => Finding::unknown(name, "SwapTotal of /proc/meminfo is no number"),
        Err(why) => Finding::unknown(name, why.clone()),
    }
}

fn limit(machine: &Machine, name: &'static str, row: &str, least: u64, key: &str) -> Finding {
    let text = match machine.read("proc/self/limits") {
        Ok(text) => text,
        Err(why) => return Finding::unknown(name, why),
    };
    let soft = text.lines().find_map(|line| line.strip_prefix(row)?.split_whitespace().next());
    match soft.map(|soft| (soft, soft.parse::<u64>())) {
        Some(("unlimited", _)) => Finding::good(name, "unlimited"),
        Some((_, Ok(soft))) if soft >= least => Finding::good(name, soft.to_string()),
        Some((_, Ok(soft))) => Finding::warn(
            name,
            format!("{soft}, less than {least}"),
            format!("raise {key} in /etc/security/limits.conf or the service's unit to {least}"),
        ),
        Some((soft, Err(_))) => Finding::unknown(name, format!("\"{}\"", soft.escape_debug())),
        None => Finding::unknown(name, format!("/proc/self/limits has no line \"{row}\"")),
    }
}

fn busy_poll(machine: &Machine) -> Finding {
    let name = "busy polling";
    let poll = machine.number("proc/sys/net/core/busy_poll");
    let read = machine.number("proc/sys/net/core/busy_read");
    match (poll, read) {
        (Err(why), _) | (_, Err(why)) => Finding::unknown(name, why),
        (Ok(poll), Ok(read)) if poll > 0 && read > 0 => {
            Finding::good(name, format!("busy_poll {poll} µs, busy_read {read} µs"))
        }
        (Ok(poll), Ok(read)) => Finding::warn(
            name,
            format!("busy_poll {poll} µs, busy_read {read} µs"),
            "sysctl net.core.busy_poll=50 net.core.busy_read=50 where the network card supports it",
        ),
    }
}

fn socket_buffers(machine: &Machine) -> Finding {
    let name = "socket buffers";
    let receive = machine.number("proc/sys/net/core/rmem_max");
    let send = machine.number("proc/sys/net/core/wmem_max");
    match (receive, send) {
        (Err(why), _) | (_, Err(why)) => Finding::unknown(name, why),
        (Ok(receive), Ok(send)) => {
            let value = format!("at most {} KiB in, {} KiB out", receive >> 10, send >> 10);
            if receive >= SOCKET_BUFFER_MIN && send >= SOCKET_BUFFER_MIN {
                return Finding::good(name, value);
            }
            Finding::warn(name, value, "sysctl net.core.rmem_max=4194304 net.core.wmem_max=4194304")
        }
    }
}

fn kernel(machine: &Machine) -> Finding {
    let name = "kernel";
    let release = machine.read("proc/sys/kernel/osrelease");
    let number = release.as_deref().map(|text| {
        let mut parts = text.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
        parts.next()?.ok().zip(parts.next()?.ok())
    });
    match (number, release.clone()) {
        (Ok(Some(number)), Ok(release)) if number >= (5, 10) => {
            Finding::good(name, release.escape_debug().to_string())
        }
        (Ok(Some(_)), Ok(release)) => {
            Finding::warn(name, release.escape_debug().to_string(), "use a kernel of 5.10 or later")
        }
        (_, Ok(release)) => Finding::unknown(name, format!("\"{}\"", release.escape_debug())),
        (_, Err(why)) => Finding::unknown(name, why),
    }
}
