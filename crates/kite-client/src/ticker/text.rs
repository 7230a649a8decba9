//! The way out for text frames: order updates are never dropped without a word.

use std::collections::VecDeque;

use kite_wire::TextMessage;
use market_model::ConnectionId;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::TickerMetrics;

/// What may wait beyond the channel: a consumer this far behind has lost touch and must read the order book.
const MAX_WAITING: usize = 1024;

/// One connection's end of the text channel. What does not fit waits in order; what does not fit there either is
/// dropped, counted, and said in the log, because then `/orders` must be read again.
#[derive(Debug)]
pub(crate) struct TextOutlet {
    connection: ConnectionId,
    texts: mpsc::Sender<TextMessage>,
    waiting: VecDeque<TextMessage>,
    /// Dropped since the last one that found a place.
    dropped: u64,
    metrics: TickerMetrics,
}

// === impl TextOutlet ===

impl TextOutlet {
    pub(crate) fn new(
        connection: ConnectionId,
        texts: mpsc::Sender<TextMessage>,
        metrics: TickerMetrics,
    ) -> Self {
        Self { connection, texts, waiting: VecDeque::new(), dropped: 0, metrics }
    }

    /// Delivers `text` after everything that waits.
    pub(crate) fn send(&mut self, text: TextMessage) {
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back(text);
            self.flush();
            return;
        }
        self.metrics.dropped_texts.increment(1);
        self.dropped += 1;
        if self.dropped == 1 {
            tracing::error!(
                connection = %self.connection,
                waiting = self.waiting.len(),
                "order updates are not taken and get lost from now on, read the order book"
            );
        }
    }

    /// Whether something waits for room.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Waits for room and delivers the next waiting text.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub(crate) async fn room(&mut self) {
        // An error means that nobody wants texts; flushing finds that out as well.
        if let Ok(permit) = self.texts.reserve().await
            && let Some(text) = self.waiting.pop_front()
        {
            permit.send(text);
        }
        self.flush();
    }

    fn flush(&mut self) {
        if self.waiting.len() < MAX_WAITING {
            self.recovered();
        }
        while let Some(text) = self.waiting.pop_front() {
            match self.texts.try_send(text) {
                Ok(()) => {}
                Err(TrySendError::Full(text)) => {
                    self.waiting.push_front(text);
                    return;
                }
                // Nobody wants texts, which is a choice and not a loss.
                Err(TrySendError::Closed(_)) => self.waiting.clear(),
            }
        }
    }

    fn recovered(&mut self) {
        if self.dropped > 0 {
            let dropped = std::mem::take(&mut self.dropped);
            tracing::error!(connection = %self.connection, dropped, "order updates were lost, read the order book");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn outlet(capacity: usize) -> (TextOutlet, mpsc::Receiver<TextMessage>) {
        let connection = ConnectionId { account: Arc::from("test"), index: 0 };
        let (texts, received) = mpsc::channel(capacity);
        (TextOutlet::new(connection, texts, TickerMetrics::noop()), received)
    }

    fn numbered(texts: &mut TextOutlet, numbers: std::ops::Range<usize>) {
        for number in numbers {
            texts.send(TextMessage::Message(number.to_string()));
        }
    }

    #[tokio::test]
    async fn texts_keep_their_order_when_the_channel_is_full() {
        let (mut texts, mut received) = outlet(2);
        numbered(&mut texts, 0..10);
        assert!(texts.has_waiting());
        for number in 0..10 {
            if texts.has_waiting() && received.len() < 2 {
                texts.room().await;
            }
            let text = received.recv().await;
            assert!(matches!(text, Some(TextMessage::Message(text)) if text == number.to_string()));
        }
        assert!(!texts.has_waiting());
    }

    #[test]
    fn what_nobody_takes_is_bounded_and_counted() {
        let (mut texts, received) = outlet(2);
        numbered(&mut texts, 0..MAX_WAITING + 12);
        assert_eq!((received.len(), texts.waiting.len(), texts.dropped), (2, MAX_WAITING, 10));
    }

    #[test]
    fn a_closed_channel_keeps_nothing() {
        let (mut texts, received) = outlet(2);
        drop(received);
        numbered(&mut texts, 0..10);
        assert!(!texts.has_waiting());
    }
}
