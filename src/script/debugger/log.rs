//! What the debugger has to say, line by line: [`Log`].

/// Bytes that may wait for the client. What does not fit is left out.
pub const MAX_LOG_BYTES: usize = 16 << 20;
/// The longest value or answer that is shown whole at first, bytes.
const DEFAULT_MAX_LEN: usize = 256;
/// The least that `maxlen` can be set to, bytes.
const LEAST_MAX_LEN: usize = 60;

/// Lines for the client.
#[derive(Debug)]
pub struct Log {
    lines: Vec<Vec<u8>>,
    bytes: usize,
    /// Values and answers are cut to this; 0 is no limit.
    max_len: usize,
    /// The client knows of `maxlen`.
    has_hinted: bool,
    /// A line was left out since the last [`Log::take`].
    is_full: bool,
}

impl Default for Log {
    fn default() -> Self {
        Log { lines: Vec::new(), bytes: 0, max_len: DEFAULT_MAX_LEN, has_hinted: false, is_full: false }
    }
}

impl Log {
    /// Adds a line.
    pub fn push(&mut self, line: impl Into<Vec<u8>>) {
        let line = line.into();
        if self.is_full {
            return;
        }
        if self.bytes + line.len() > MAX_LOG_BYTES {
            self.is_full = true;
            self.lines.push(b"<hint> There is more, which is left out.".to_vec());
            return;
        }
        self.bytes += line.len();
        self.lines.push(line);
    }

    /// Adds a line with a value, cut to the length that is set.
    pub fn push_value(&mut self, mut line: Vec<u8>) {
        let is_cut = self.max_len > 0 && line.len() > self.max_len;
        if is_cut {
            line.truncate(self.max_len);
            line.extend_from_slice(b" ...");
        }
        self.push(line);
        if is_cut && !std::mem::replace(&mut self.has_hinted, true) {
            self.push("<hint> The above reply was trimmed. Use 'maxlen 0' to disable trimming.");
        }
    }

    /// Bytes of a value that are enough to show it.
    #[must_use]
    pub fn value_bytes(&self) -> usize {
        if self.max_len > 0 { self.max_len + 1 } else { MAX_LOG_BYTES }
    }

    /// Sets the length that values are cut to; 0 is no limit.
    pub fn set_max_len(&mut self, len: i64) {
        self.has_hinted = true;
        let len = if len == 0 { 0 } else { len.max(LEAST_MAX_LEN as i64) };
        self.max_len = usize::try_from(len).unwrap_or_default();
    }

    /// The length that values are cut to; 0 is no limit.
    #[must_use]
    pub fn max_len(&self) -> usize {
        self.max_len
    }

    /// Takes all lines.
    pub fn take(&mut self) -> Vec<Vec<u8>> {
        (self.bytes, self.is_full) = (0, false);
        std::mem::take(&mut self.lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(log: &mut Log) -> Vec<String> {
        log.take().iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect()
    }

    #[test]
    fn long_values_are_cut_and_the_first_one_says_how_to_see_more() {
        let mut log = Log::default();
        log.push_value(vec![b'a'; 256]);
        log.push_value(vec![b'a'; 257]);
        log.push_value(vec![b'b'; 300]);
        log.push(vec![b'c'; 300]);
        let lines = texts(&mut log);
        assert_eq!(lines[0].len(), 256);
        assert_eq!(lines[1], format!("{} ...", "a".repeat(256)));
        assert!(lines[2].starts_with("<hint> The above reply was trimmed."), "{}", lines[2]);
        assert_eq!(lines[3], format!("{} ...", "b".repeat(256)));
        assert_eq!(lines[4].len(), 300);
        assert_eq!(lines.len(), 5);
    }

    #[test]
    fn the_length_is_at_least_sixty_or_unlimited() {
        let mut log = Log::default();
        for (set, is) in [(10, 60), (-1, 60), (61, 61), (0, 0)] {
            log.set_max_len(set);
            assert_eq!(log.max_len(), is);
        }
        log.push_value(vec![b'a'; 5000]);
        assert_eq!(texts(&mut log)[0].len(), 5000);
    }

    #[test]
    fn a_script_that_logs_without_end_fills_no_memory() {
        let mut log = Log::default();
        for _ in 0..100 {
            log.push(vec![b'x'; MAX_LOG_BYTES / 10]);
        }
        assert_eq!(log.lines.len(), 11);
        assert!(texts(&mut log)[10].starts_with("<hint>"));
        log.push("again");
        assert_eq!(texts(&mut log), ["again"]);
    }
}
