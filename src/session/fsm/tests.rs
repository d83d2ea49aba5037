use super::*;

/// One row an event; one cell a state. `.` stays and does nothing; `x>S` does x and goes to S; a drop goes to Idle unless it
/// says otherwise, names its NOTIFICATION (`-` none, `e` that of the event), and what becomes of the counter
/// (`0` reset, `=` kept, `+` damped).
#[rustfmt::skip]
const TABLE: &[(Input, [&str; 6])] = &[
    //                                              Idle              Connect          Active          OpenSent             OpenConfirm   Established
    (Input::ManualStart { passive: false },        ["dial>Connect",   ".",             ".",            ".",                 ".",          "."]),
    (Input::ManualStart { passive: true },         ["listen>Active",  ".",             ".",            ".",                 ".",          "."]),
    (Input::ManualStop,                            [".",              "drop - 0",      "drop - 0",     "drop e 0",          "drop e 0",   "drop e 0"]),
    (Input::AutomaticStart { passive: false },     ["dial>Connect",   ".",             ".",            ".",                 ".",          "."]),
    (Input::AutomaticStart { passive: true },      ["listen>Active",  ".",             ".",            ".",                 ".",          "."]),
    (Input::AutomaticStop,                         [".",              "drop - +",      "drop - +",     "drop e +",          "drop e +",   "drop e +"]),
    (Input::ConnectRetryExpires,                   [".",              "redial",        "dial>Connect", "drop 5/1 +",        "drop 5/2 +", "drop 5/3 +"]),
    (Input::HoldExpires,                           [".",              "drop - +",      "drop - +",     "drop 4/0 +",        "drop 4/0 +", "drop 4/0 +"]),
    (Input::KeepaliveExpires,                      [".",              "drop - +",      "drop - +",     "drop 5/1 +",        "keepalive",  "keepalive"]),
    (Input::IdleHoldExpires { passive: false },    ["dial>Connect",   "drop - +",      "drop - +",     "drop 5/1 +",        "drop 5/2 +", "drop 5/3 +"]),
    (Input::IdleHoldExpires { passive: true },     ["listen>Active",  "drop - +",      "drop - +",     "drop 5/1 +",        "drop 5/2 +", "drop 5/3 +"]),
    (Input::Connected,                             ["refuse",         "open>OpenSent", "open>OpenSent", "track",            "track",      "track"]),
    (Input::TcpFails,                              [".",              "await>Active",  "await",        "drop - = >Active",  "drop - +",   "drop - +"]),
    (Input::Open,                                  [".",              "drop - +",      "drop - +",     "confirm>OpenConfirm", "drop 5/2 +", "drop 5/3 +"]),
    (Input::HeaderError,                           [".",              "drop - +",      "drop - +",     "drop e +",          "drop e +",   "drop e +"]),
    (Input::OpenError,                             [".",              "drop - +",      "drop - +",     "drop e +",          "drop 5/2 +", "drop 5/3 +"]),
    (Input::CollisionDump,                         [".",              "drop - +",      "drop - +",     "drop 6/7 +",        "drop 6/7 +", "drop 6/7 +"]),
    (Input::VersionNotification,                   [".",              "drop - +",      "drop - +",     "drop - =",          "drop - =",   "drop - +"]),
    (Input::Notification,                          [".",              "drop - +",      "drop - +",     "drop - +",          "drop - +",   "drop - +"]),
    (Input::Keepalive,                             [".",              "drop - +",      "drop - +",     "drop 5/1 +",        "up>Established", "hold"]),
    (Input::Update,                                [".",              "drop - +",      "drop - +",     "drop 5/1 +",        "drop 5/2 +", "update"]),
    (Input::UpdateError,                           [".",              "drop - +",      "drop - +",     "drop 5/1 +",        "drop 5/2 +", "drop e +"]),
    (Input::Refresh,                               [".",              "drop - +",      "drop - +",     "drop 5/1 +",        "drop 5/2 +", "refresh"]),
    (Input::SendHoldExpires,                       [".",              "drop - +",      "drop - +",     "drop 5/1 +",        "drop 8/0 +", "drop 8/0 +"]),
];

const STATES: [State; 6] = [State::Idle, State::Connect, State::Active, State::OpenSent, State::OpenConfirm, State::Established];

fn shown(state: State, step: Step) -> String {
    let (word, usual_next) = match step.action {
        Action::Ignore => (".".to_owned(), state),
        Action::Dial => ("dial".to_owned(), state),
        Action::Listen => ("listen".to_owned(), state),
        Action::Redial => ("redial".to_owned(), state),
        Action::AwaitRetry => ("await".to_owned(), state),
        Action::Refuse => ("refuse".to_owned(), state),
        Action::SendOpen => ("open".to_owned(), state),
        Action::Track => ("track".to_owned(), state),
        Action::Confirm => ("confirm".to_owned(), state),
        Action::Establish => ("up".to_owned(), state),
        Action::SendKeepalive => ("keepalive".to_owned(), state),
        Action::RestartHold => ("hold".to_owned(), state),
        Action::Process => ("update".to_owned(), state),
        Action::Refresh => ("refresh".to_owned(), state),
        Action::Drop { notify, count } => (format!("drop {} {}", notification(notify), counter(count)), State::Idle),
    };
    let space = if word.starts_with("drop") { " " } else { "" };
    if step.next == usual_next { word } else { format!("{word}{space}>{}", step.next) }
}

fn notification(notify: Notify) -> String {
    match notify {
        Notify::Nothing => "-".to_owned(),
        Notify::Event => "e".to_owned(),
        Notify::Fsm(state) => format!("5/{}", state as u8),
        Notify::HoldExpired => "4/0".to_owned(),
        Notify::SendHoldExpired => "8/0".to_owned(),
        Notify::Collision => "6/7".to_owned(),
    }
}

fn counter(count: Count) -> char {
    match count {
        Count::Reset => '0',
        Count::Keep => '=',
        Count::Damp => '+',
    }
}

#[test]
fn every_cell_of_the_state_table() {
    for (input, cells) in TABLE {
        for (state, expected) in STATES.into_iter().zip(cells) {
            assert_eq!(&shown(state, step(state, *input)), expected, "{state} on {input:?}");
        }
    }
}
