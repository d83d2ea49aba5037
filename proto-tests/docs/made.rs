//! Generated parts that come from the programs themselves.

use super::page::{code, table};
use clap::{Arg, Command, CommandFactory};
use kubgp::cli::args::Cli;
use kubgp::config::{self, check::LocalHost};
use serde_json::Value;

const SMALL: &str = "\
apiVersion: kubgp.io/v1
router: { asn: 64512, id: 10.0.0.1 }
neighbors: [{ address: 10.0.0.254, asn: 64500 }]
";

/// What a small file leaves open, as it runs.
pub fn defaults() -> String {
    let host = LocalHost { first_ipv4: None };
    let plan = config::load_text("kubgp.yaml", SMALL, &[], &host).unwrap_or_else(|e| panic!("{}", e.render(false)));
    format!("```yaml\n{SMALL}```\n\nmeans:\n\n```yaml\n{}```", plan.to_yaml())
}

/// `bgpctl` with its subcommands finished, as it reads a command line.
fn bgpctl() -> Command {
    let mut command = Cli::command();
    command.build();
    command
}

/// Options that every command takes.
pub fn global_options() -> String {
    let command = bgpctl();
    let rows = command.get_arguments().filter(|a| a.is_global_set() && !a.is_hide_set()).map(|a| vec![spelling(a), meaning(a)]);
    table(&["option", "meaning"], rows)
}

/// Every command, with its own arguments.
pub fn commands() -> String {
    let mut text = String::new();
    describe(&bgpctl(), &mut text);
    text
}

fn describe(command: &Command, text: &mut String) {
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help" && !inner.is_hide_set()) {
        if inner.has_subcommands() && inner.is_subcommand_required_set() {
            describe(inner, text);
            continue;
        }
        let usage = inner.clone().render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ").replace(" [OPTIONS]", "");
        *text += &format!("### `{}`\n\n", usage.trim());
        if let Some(about) = inner.get_about() {
            *text += &format!("{about}.\n\n");
        }
        let own: Vec<&Arg> = inner.get_arguments().filter(|a| !a.is_global_set() && !a.is_hide_set() && a.get_id() != "help").collect();
        if !own.is_empty() {
            *text += &table(&["argument", "meaning"], own.iter().map(|a| vec![spelling(a), meaning(a)]));
            *text += "\n";
        }
        if let Some(note) = inner.get_after_help() {
            *text += &format!("{note}.\n\n");
        }
        describe(inner, text);
    }
}

/// `-o, --output OUTPUT`, or the name of a positional argument.
fn spelling(argument: &Arg) -> String {
    if argument.is_positional() {
        return code(&argument.to_string());
    }
    let value = argument.get_action().takes_values().then(|| {
        let names = argument.get_value_names().map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
        format!(" {}", names.unwrap_or_default())
    });
    let short = argument.get_short().map(|short| format!("-{short}"));
    let long = argument.get_long().map(|long| format!("--{long}"));
    let names: Vec<String> = short.into_iter().chain(long).collect();
    code(&format!("{}{}", names.join(", "), value.unwrap_or_default()))
}

/// The help, and for a choice its words.
fn meaning(argument: &Arg) -> String {
    let mut parts: Vec<String> = argument.get_help().map(|help| help.to_string().trim_end_matches('.').to_owned()).into_iter().collect();
    let words: Vec<String> = argument.get_possible_values().iter().filter(|w| !w.is_hide_set()).map(|w| code(w.get_name())).collect();
    if argument.get_action().takes_values() && !words.is_empty() {
        parts.push(words.join(", "));
    }
    let defaults: Vec<_> = argument.get_default_values().iter().map(|v| code(&v.to_string_lossy())).collect();
    if argument.get_action().takes_values() && !defaults.is_empty() {
        parts.push(format!("default {}", defaults.join(" ")));
    }
    parts.join("; ")
}

/// The exit codes as the help has them: `0 ok, 1 failed or refused, ...`.
pub fn exit_codes() -> String {
    let help = Cli::command().get_after_help().expect("exit codes").to_string();
    let list = help.split_once("Exit codes: ").expect("a list").1.replace(", --exit-status", "; --exit-status");
    let rows = list.split(", ").map(|entry| {
        let (number, meaning) = entry.trim().split_once(' ').expect("a number and its meaning");
        vec![number.to_owned(), meaning.replace("; --", ", --")]
    });
    table(&["code", "meaning"], rows)
}

pub fn daemon_help() -> String {
    let output =
        std::process::Command::new(env!("CARGO_BIN_EXE_kubgpd")).arg("--help").env("COLUMNS", "100").output().expect("kubgpd runs");
    format!("```\n{}```", String::from_utf8(output.stdout).expect("text"))
}

fn operations() -> Vec<(String, String, Value)> {
    let document = serde_json::to_value(kubgp::api::description()).expect("JSON");
    let paths = document["paths"].as_object().expect("paths").clone();
    let methods = |(path, item): (String, Value)| {
        item.as_object()
            .expect("methods")
            .clone()
            .into_iter()
            .map(move |(method, operation)| (path.clone(), method.to_uppercase(), operation))
    };
    paths.into_iter().flat_map(methods).collect()
}

/// The text of a field, as one line.
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().replace('\n', " ").trim_end_matches('.').to_owned()
}

pub fn endpoints() -> String {
    let rows = operations().into_iter().map(|(path, method, operation)| {
        let answer =
            operation["responses"].as_object().and_then(|all| all.iter().find(|(code, _)| code.starts_with('2')).map(|(_, r)| r.clone()));
        let schema = answer.as_ref().and_then(|a| a["content"].as_object()?.values().next()?["schema"]["$ref"].as_str().map(str::to_owned));
        let kind = schema.and_then(|reference| reference.rsplit('/').next().map(code)).unwrap_or_default();
        vec![method, code(&path), text(&operation["summary"]), kind]
    });
    table(&["method", "path", "meaning", "answer"], rows)
}

pub fn parameters() -> String {
    let mut made = String::new();
    for (path, method, operation) in operations() {
        let Some(parameters) = operation["parameters"].as_array().filter(|p| !p.is_empty()) else { continue };
        let rows = parameters.iter().map(|p| vec![code(&text(&p["name"])), text(&p["in"]), text(&p["description"])]);
        made += &format!("### {method} `{path}`\n\n{}\n", table(&["parameter", "in", "meaning"], rows));
    }
    made
}
