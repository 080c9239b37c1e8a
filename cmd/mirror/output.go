package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"airmirror/mirror"
)

// output are the flags of the commands that print a result.
type output struct{ json, quiet bool }

// flags adds the flags.
func (o *output) flags(f *pflag.FlagSet) {
	f.BoolVar(&o.json, "json", false, "print JSON")
	f.BoolVarP(&o.quiet, quietFlag, "q", false, "print only errors")
}

// quietFlag is the flag that reduces the output. For lists, it prints only names.
const quietFlag = "quiet"

// namesAnnotation marks the flag --quiet of a list.
const namesAnnotation = "names"

// printsNames turns the flag --quiet into that of a list.
func printsNames(f *pflag.FlagSet) {
	flag := f.Lookup(quietFlag)
	flag.Usage = "print only the names"
	flag.Annotations = map[string][]string{namesAnnotation: {}}
}

// setOutput discards the output of a command with --quiet, but not a bundle, a backup or a receipt that it writes to
// standard output, nor errors.
func setOutput(cmd *cobra.Command) error {
	flag := cmd.Flags().Lookup(quietFlag)
	if flag == nil || !flag.Changed {
		return nil
	}
	if json := cmd.Flags().Lookup("json"); json != nil && json.Changed {
		return &exitError{exitUsage, errors.New("--quiet and --json cannot be combined")}
	}
	if flag.Annotations[namesAnnotation] == nil && flag.Value.String() == "true" {
		cmd.SetOut(&printed{PrintableWriter: mirror.PrintableWriter{W: io.Discard}, raw: raw(cmd.OutOrStdout()), quiet: true})
	}
	return nil
}

// isQuiet reports whether the output of a command is discarded.
func isQuiet(cmd *cobra.Command) bool {
	p, ok := cmd.OutOrStdout().(*printed)
	return ok && p.quiet
}

// printJSON prints v as indented JSON.
func printJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// size formats a number of bytes.
func size(bytes int64) string { return humanize.IBytes(uint64(max(0, bytes))) }

// age formats a time relative to now.
func age(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return humanize.Time(t)
}

// count formats a number with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return humanize.Comma(int64(n)) + " " + many
}

// printed is the output of a command. It escapes unprintable characters in names and in texts from upstreams, as
// [mirror.PrintableWriter] does.
type printed struct {
	mirror.PrintableWriter
	raw   io.Writer
	quiet bool // everything is discarded
}

func newPrinted(raw io.Writer) *printed {
	return &printed{PrintableWriter: mirror.PrintableWriter{W: raw}, raw: raw}
}

// raw returns the writer below the output of a command, for bundles, backups and receipts.
func raw(w io.Writer) io.Writer {
	if p, ok := w.(*printed); ok {
		return p.raw
	}
	return w
}

// terminalOf returns the terminal that a writer writes to, if there is one.
func terminalOf(w io.Writer) (*os.File, bool) {
	file, ok := raw(w).(*os.File)
	return file, ok && term.IsTerminal(int(file.Fd()))
}

// refuseTerminal returns an error if a file would be written to a terminal.
func refuseTerminal(cmd *cobra.Command, what string) error {
	if _, ok := terminalOf(cmd.OutOrStdout()); !ok {
		return nil
	}
	return &exitError{exitUsage, fmt.Errorf("standard output is a terminal, which cannot show %s: name a file instead of -, or redirect the output with > or |", what)}
}

// printText prints a line with unprintable characters escaped.
func printText(out io.Writer, format string, args ...any) {
	fmt.Fprintln(out, mirror.Printable(fmt.Sprintf(format, args...)))
}
