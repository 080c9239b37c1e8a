package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"airmirror/api/admin"
	"airmirror/gc"
	"airmirror/mirror"
)

// errHistoryOfAll is the error of 'mirror du --history' with repositories.
var errHistoryOfAll = &exitError{exitUsage, errors.New("--history is of everything that is stored: leave the repositories out")}

// printHistory prints how much was stored on each of the last days.
func printHistory(ctx context.Context, out io.Writer, client *admin.Client, asJSON bool) error {
	samples, err := client.StorageHistory(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(out, append([]gc.Sample{}, samples...))
	}
	if len(samples) == 0 {
		fmt.Fprintln(out, "no day was recorded yet: a server takes a sample each day")
		return nil
	}
	t := newTable(out, "DAY", "STORED", "PUSHED", "MIRRORED", "IMPORTED", "FREE")
	for _, s := range samples {
		free := "-"
		if s.Total > 0 {
			free = size(s.Free)
		}
		t.row(s.Day, size(s.Stored), size(s.Origins[mirror.Pushed]), size(s.Origins[mirror.Mirrored]), size(s.Origins[mirror.Imported]), free)
	}
	return t.Flush()
}
