package object

import "time"

// MinGrace is how long a tombstone stays at least, and a content that nobody names: longer than any writer takes.
const MinGrace = 24 * time.Hour
