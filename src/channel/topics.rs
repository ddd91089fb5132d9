//! The topics that need not be created before they are used. Knows no rule about them.

/// Both ways: the rules that an agent enforces.
pub const POLICIES: &str = "policies";
/// Agent to backend: what looks wrong.
pub const ANOMALIES: &str = "anomalies";
/// Both ways: what is wrong.
pub const THREATS: &str = "threats";
/// Both ways: processes of the agent's host.
pub const PROCESSES: &str = "processes";
/// Agent to backend: what the agent's host depends on.
pub const DEPENDENCIES: &str = "dependencies";
/// Both ways: tests and their results.
pub const TESTS: &str = "tests";
/// Both ways: changes that are taken back.
pub const ROLLBACKS: &str = "rollbacks";
/// Agent to backend: the agent is alive.
pub const HEARTBEAT: &str = "heartbeat";
/// Agent to backend: how the agent is.
pub const STATUS: &str = "status";
/// Agent to backend: what the agent writes down.
pub const LOGS: &str = "logs";
/// Backend to agent: what the agent is to look into.
pub const INVESTIGATIONS: &str = "investigations";

/// What an agent speaks about: `agent.<id>.<topic>`.
pub const OF_AGENT: [&str; 10] = [
    POLICIES,
    ANOMALIES,
    THREATS,
    PROCESSES,
    DEPENDENCIES,
    TESTS,
    ROLLBACKS,
    HEARTBEAT,
    STATUS,
    LOGS,
];

/// What a backend speaks about: `backend.<id>.<topic>`.
pub const OF_BACKEND: [&str; 6] = [POLICIES, INVESTIGATIONS, THREATS, PROCESSES, TESTS, ROLLBACKS];
