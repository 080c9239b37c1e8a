package main

import (
	"fmt"
	"io"
	"os"

	"go.uber.org/zap/zapcore"
	"golang.org/x/term"

	"airmirror/mirror"
)

// printed is what a command writes text to: names, platforms and what upstreams say come out of it as
// [mirror.PrintableWriter] has them.
type printed struct {
	mirror.PrintableWriter
	raw io.Writer
}

func newPrinted(raw io.Writer) *printed {
	return &printed{PrintableWriter: mirror.PrintableWriter{W: raw}, raw: raw}
}

// raw is what is below a writer of text, for what is none: bundles, backups, receipts.
func raw(w io.Writer) io.Writer {
	if p, ok := w.(*printed); ok {
		return p.raw
	}
	return w
}

// terminalOf returns the terminal that a writer leads to, if it leads to one.
func terminalOf(w io.Writer) (*os.File, bool) {
	file, ok := raw(w).(*os.File)
	return file, ok && term.IsTerminal(int(file.Fd()))
}

// printText prints a line, whatever the words in it are.
func printText(out io.Writer, format string, args ...any) {
	fmt.Fprintln(out, mirror.Printable(fmt.Sprintf(format, args...)))
}

// logTo is what logs are written to.
func logTo(w io.Writer) zapcore.WriteSyncer {
	return zapcore.Lock(zapcore.AddSync(&mirror.PrintableWriter{W: w}))
}
