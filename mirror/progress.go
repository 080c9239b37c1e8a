package mirror

// Progress receives the progress of long work, from any goroutine. Progress bars, the admin API and logs implement it.
type Progress interface {
	// AddTotal adds to the total number of bytes.
	AddTotal(bytes int64)
	// AddDone adds to the number of bytes that are done.
	AddDone(bytes int64)
	// SetCurrent describes the current step, for messages.
	SetCurrent(what string)
}

// NoProgress ignores progress.
type NoProgress struct{}

// AddTotal implements [Progress].
func (NoProgress) AddTotal(int64) {}

// AddDone implements [Progress].
func (NoProgress) AddDone(int64) {}

// SetCurrent implements [Progress].
func (NoProgress) SetCurrent(string) {}
