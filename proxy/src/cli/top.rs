//! `forebay top`: what a running instance forwards, and why.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};

use super::ask::{self, Ask};
use crate::top::TopReport;
use crate::top::screen::Screen;
use crate::top::view::View;

#[derive(Debug, Args)]
pub(super) struct Top {
    /// Look twice, print, and end.
    #[arg(long)]
    once: bool,
    /// Between two looks: `500ms`, `2s`.
    #[arg(long, default_value = "2s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    interval: Duration,
    /// One JSON object a look.
    #[arg(long)]
    json: bool,
    /// The configuration file that names the admin listener.
    #[arg(short, long, value_name = "FILE", default_value = super::DEFAULT_CONFIG)]
    config: PathBuf,
    /// The admin listener of the instance: `127.0.0.1:6081`.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<String>,
}

/// Exit 1 when no instance answers.
pub(super) fn top(asked: &Top) -> ExitCode {
    let admin = ask::admin(asked.admin.as_deref(), &asked.config);
    let interval = asked.interval.max(Duration::from_millis(50));
    let shown = if asked.once || asked.json || !io::stdout().is_terminal() {
        print(&admin, interval, asked)
    } else {
        watch(&admin, interval)
    };
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("forebay: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn look(admin: &str) -> Result<TopReport, String> {
    match ask::get(admin, "/top") {
        Ask::Answered(value) => serde_json::from_value(value).map_err(|error| format!("{admin}: {error}")),
        Ask::Refused(why) | Ask::Nobody(why) => Err(why),
    }
}

/// Text or JSON, until nobody reads it any more.
fn print(admin: &str, interval: Duration, asked: &Top) -> Result<(), String> {
    let mut before = look(admin)?;
    loop {
        std::thread::sleep(interval);
        let report = look(admin)?;
        let text = if asked.json {
            serde_json::to_string(&report).map(|json| json + "\n").map_err(|error| error.to_string())?
        } else {
            View::new(report.clone(), Some(&before)).plain() + if asked.once { "" } else { "\n" }
        };
        if io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()).is_err() || asked.once {
            return Ok(());
        }
        before = report;
    }
}

/// The terminal, until `q`.
fn watch(admin: &str, interval: Duration) -> Result<(), String> {
    let first = look(admin)?;
    let mut terminal = ratatui::try_init().map_err(|error| error.to_string())?;
    let result = (|| {
        let mut screen = Screen::default();
        let mut view = View::new(first, None);
        let mut note = String::new();
        let mut next = Instant::now() + interval;
        loop {
            terminal.draw(|frame| screen.draw(frame, &view, &note))?;
            if event::poll(next.saturating_duration_since(Instant::now()))? {
                match event::read()? {
                    Event::Key(key) if key.kind == KeyEventKind::Release => {}
                    Event::Key(key) => match key.code {
                        KeyCode::Char('q') | KeyCode::Esc => return Ok(()),
                        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Ok(()),
                        KeyCode::Up | KeyCode::Char('k') => screen.up(),
                        KeyCode::Down | KeyCode::Char('j') => screen.down(&view),
                        _ => {}
                    },
                    _ => {}
                }
            } else {
                next = Instant::now() + interval;
                match look(admin) {
                    Ok(report) => {
                        view = View::new(report, Some(&view.report));
                        note.clear();
                    }
                    // It may be restarting.
                    Err(failure) => note = failure,
                }
            }
        }
    })();
    ratatui::restore();
    result.map_err(|error: io::Error| error.to_string())
}
