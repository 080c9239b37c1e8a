package server

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"

	"airmirror/mirror"
)

// newLogger returns a logger for standard error, and the writer of its lines, which the caller closes. The format auto is
// console on a terminal, and json elsewhere.
func newLogger(level zap.AtomicLevel, format string) (*zap.Logger, *logWriter) {
	if format == "auto" {
		format = "json"
		if term.IsTerminal(int(os.Stderr.Fd())) {
			format = "console"
		}
	}
	var encoder zapcore.Encoder
	if format == "console" {
		config := zap.NewDevelopmentEncoderConfig()
		config.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		config.EncodeLevel = zapcore.CapitalLevelEncoder
		encoder = zapcore.NewConsoleEncoder(config)
	} else {
		config := zap.NewProductionEncoderConfig()
		config.EncodeTime = zapcore.RFC3339NanoTimeEncoder
		config.EncodeDuration = zapcore.StringDurationEncoder
		config.TimeKey = "time"
		encoder = zapcore.NewJSONEncoder(config)
	}
	lines := newLogWriter(os.Stderr, func(dropped uint64) []byte { return droppedNotice(encoder, dropped) })
	return zap.New(zapcore.NewCore(encoder, printableSyncer(lines), level)), lines
}

// droppedNotice returns the log line that says how many lines are missing before it.
func droppedNotice(encoder zapcore.Encoder, dropped uint64) []byte {
	line, err := encoder.Clone().EncodeEntry(zapcore.Entry{
		Level: zapcore.ErrorLevel, Time: time.Now(), Message: "log lines were dropped: they could not be written, or not as fast as they came",
	}, []zapcore.Field{zap.Uint64("lines", dropped)})
	if err != nil {
		return nil
	}
	return line.Bytes()
}

// NewCommandLogger returns a logger for a command that opens a mirror itself. It writes lines in the form of the errors
// of commands.
func NewCommandLogger(level zapcore.Level, out io.Writer) *zap.Logger {
	return zap.New(lineCore{LevelEnabler: level, out: printableSyncer(out)})
}

// printableSyncer returns out with unprintable characters escaped.
func printableSyncer(out io.Writer) zapcore.WriteSyncer {
	return zapcore.Lock(zapcore.AddSync(&mirror.PrintableWriter{W: out}))
}

// lineCore is a [zapcore.Core] that writes a line of text for each entry, such as
// "mirror: cannot go on, volume 2: the disk is full".
type lineCore struct {
	zapcore.LevelEnabler
	out    zapcore.WriteSyncer
	fields []zapcore.Field
}

// With implements [zapcore.Core].
func (c lineCore) With(fields []zapcore.Field) zapcore.Core {
	c.fields = slices.Concat(c.fields, fields)
	return c
}

// Check implements [zapcore.Core].
func (c lineCore) Check(entry zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return to.AddCore(entry, c)
	}
	return to
}

// Write implements [zapcore.Core]. The error comes last.
func (c lineCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	values := zapcore.NewMapObjectEncoder()
	for _, field := range slices.Concat(c.fields, fields) {
		field.AddTo(values)
	}
	failure, failed := values.Fields["error"]
	var text strings.Builder
	fmt.Fprintf(&text, "mirror: %s", entry.Message)
	for _, name := range slices.Sorted(maps.Keys(values.Fields)) {
		if !strings.HasPrefix(name, "error") {
			fmt.Fprintf(&text, ", %s %v", name, values.Fields[name])
		}
	}
	if failed {
		fmt.Fprintf(&text, ": %v", failure)
	}
	_, err := c.out.Write([]byte(mirror.Printable(text.String()) + "\n"))
	return err
}

// Sync implements [zapcore.Core].
func (c lineCore) Sync() error { return nil }
