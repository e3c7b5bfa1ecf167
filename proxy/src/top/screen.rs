//! The view on a terminal.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Cell, Paragraph, Row, Table as Widget, TableState};

use super::view::{Table, View};

/// What is looked at.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    /// The site whose lists are shown.
    selected: usize,
}

impl Screen {
    pub(crate) fn up(&mut self) {
        self.selected = self.selected.saturating_sub(1);
    }

    pub(crate) fn down(&mut self, view: &View) {
        self.selected = (self.selected + 1).min(view.report.sites.len().saturating_sub(1));
    }

    /// Draws the sites, and the lists of the selected one.
    pub(crate) fn draw(&self, frame: &mut Frame<'_>, view: &View, note: &str) {
        let sites = view.sites();
        let room = u16::try_from(sites.rows.len()).unwrap_or(u16::MAX).saturating_add(3);
        let rows = [Constraint::Max(room.min(frame.area().height / 2)), Constraint::Fill(1), Constraint::Length(1)];
        let [head, body, foot] = Layout::vertical(rows).areas(frame.area());
        table(frame, head, &sites, Some(self.selected));
        if let Some(site) = view.report.sites.get(self.selected) {
            let halves = [Constraint::Fill(1), Constraint::Fill(1)];
            let [upper, lower] = Layout::vertical(halves).areas(body);
            let [first, second] = Layout::horizontal([Constraint::Fill(2), Constraint::Fill(3)]).areas(upper);
            let [third, fourth] = Layout::horizontal([Constraint::Fill(2), Constraint::Fill(3)]).areas(lower);
            for (area, list) in [first, second, third, fourth].into_iter().zip(view.lists(site)) {
                table(frame, area, &list, None);
            }
        }
        let keys = format!(" q quits, ↑ ↓ choose a site   {note}");
        frame.render_widget(Paragraph::new(Line::from(keys)), foot);
    }
}

fn table(frame: &mut Frame<'_>, area: Rect, table: &Table, selected: Option<usize>) {
    let widths = table.widths();
    let last = table.heads.len().saturating_sub(1);
    let cell = |index: usize, text: &str| match index {
        index if index < last => Cell::from(Line::from(text.to_owned()).right_aligned()),
        _ => Cell::from(text.to_owned()),
    };
    let row = |cells: &mut dyn Iterator<Item = &str>| {
        Row::new(cells.enumerate().map(|(index, text)| cell(index, text)).collect::<Vec<_>>())
    };
    let rows: Vec<Row<'_>> = table.rows.iter().map(|cells| row(&mut cells.iter().map(String::as_str))).collect();
    let lengths = widths.into_iter().map(|width| Constraint::Length(u16::try_from(width).unwrap_or(u16::MAX)));
    let columns: Vec<Constraint> = lengths.chain([Constraint::Fill(1)]).collect();
    let head = row(&mut table.heads.iter().copied()).style(Style::new().add_modifier(Modifier::DIM));
    let widget = Widget::new(rows, columns)
        .header(head)
        .column_spacing(2)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
        .block(Block::bordered().title(table.title.clone()));
    let mut state = TableState::new().with_selected(selected);
    frame.render_stateful_widget(widget, area, &mut state);
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::{SiteTop, TopReport};
    use super::*;

    fn shown(width: u16, height: u16) -> String {
        let site = |name: &str| SiteTop { site: name.to_owned(), requests: 7, ..SiteTop::default() };
        let report = TopReport { window: 60, uptime_ms: 1000, sites: vec![site("a.test"), site("b.test")] };
        let view = View::new(report, None);
        let mut screen = Screen::default();
        screen.up();
        screen.down(&view);
        screen.down(&view);
        assert_eq!(screen.selected, 1);
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| screen.draw(frame, &view, "note")).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn sites_and_lists_are_shown() {
        let text = shown(120, 40);
        for part in ["a.test", "b.test", "Why not a hit", "Parameters in keys", "Costliest", "q quits", "note"] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }

    #[test]
    fn a_small_terminal_is_no_panic() {
        for (width, height) in [(1, 1), (10, 3), (40, 5)] {
            shown(width, height);
        }
    }
}
