package mirror

// Progress is told about long work, by any goroutine. A terminal's bar, the admin API and logs all listen through it.
type Progress interface {
	// Expect adds to the bytes that there are to do.
	Expect(bytes int64)
	// Did adds to the bytes that are done.
	Did(bytes int64)
	// Doing says what is being worked on, for people.
	Doing(what string)
}

// NoProgress listens to nothing.
type NoProgress struct{}

func (NoProgress) Expect(int64) {}
func (NoProgress) Did(int64)    {}
func (NoProgress) Doing(string) {}
