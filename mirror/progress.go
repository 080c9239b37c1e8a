package mirror

// Progress receives the progress of long work, from any goroutine. Progress bars, the admin API and logs implement it.
type Progress interface {
	// Expect adds to the total number of bytes.
	Expect(bytes int64)
	// Did adds to the number of bytes that are done.
	Did(bytes int64)
	// Doing describes the current step, for messages.
	Doing(what string)
}

// NoProgress ignores progress.
type NoProgress struct{}

// Expect implements [Progress].
func (NoProgress) Expect(int64) {}

// Did implements [Progress].
func (NoProgress) Did(int64) {}

// Doing implements [Progress].
func (NoProgress) Doing(string) {}
