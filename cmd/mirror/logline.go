package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"airmirror/mirror"
)

// newCommandLogger is the log of a command that does what a server does otherwise: what is as serious as level, in lines
// like those that the command ends with.
func newCommandLogger(level zapcore.Level, out zapcore.WriteSyncer) *zap.Logger {
	return zap.New(lines{LevelEnabler: level, out: out})
}

// lines is a log for people.
type lines struct {
	zapcore.LevelEnabler
	out    zapcore.WriteSyncer
	fields []zapcore.Field
}

func (l lines) With(fields []zapcore.Field) zapcore.Core {
	l.fields = slices.Concat(l.fields, fields)
	return l
}

func (l lines) Check(entry zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if l.Enabled(entry.Level) {
		return to.AddCore(entry, l)
	}
	return to
}

// Write has the error last, where people look for it.
func (l lines) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	values := zapcore.NewMapObjectEncoder()
	for _, field := range slices.Concat(l.fields, fields) {
		field.AddTo(values)
	}
	failed, hasFailed := values.Fields["error"]
	var text strings.Builder
	fmt.Fprintf(&text, "mirror: %s", entry.Message)
	for _, name := range slices.Sorted(maps.Keys(values.Fields)) {
		if !strings.HasPrefix(name, "error") {
			fmt.Fprintf(&text, ", %s %v", name, values.Fields[name])
		}
	}
	if hasFailed {
		fmt.Fprintf(&text, ": %v", failed)
	}
	_, err := l.out.Write([]byte(mirror.Printable(text.String()) + "\n"))
	return err
}

func (l lines) Sync() error { return nil }
