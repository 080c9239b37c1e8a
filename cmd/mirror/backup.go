package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
)

func newBackupCommand() *cobra.Command {
	q := &adminCommand{}
	return q.command(&cobra.Command{
		Use:   "backup FILE|-",
		Short: "Write a copy of the index, from which names come back",
		Long: `Write a consistent copy of the index, while clients push and pull. The file is written whole or
not at all; one that is there already is replaced. It has what everything is called, and not
the content: 'mirror verify --rebuild --backup FILE' brings an index back from it and from the
files in the data folder.`,
		Example: `  mirror backup /backup/index.db
  mirror backup - | ssh vault 'cat > mirror-index.db'`,
		Args: cobra.ExactArgs(1),
	}, func(cmd *cobra.Command, client *admin.Client, args []string) error {
		return backup(cmd, client, args[0], q.json)
	})
}

// backedUp is a copy that was written.
type backedUp struct {
	File  string `json:"file"`
	Bytes int64  `json:"bytes"`
}

func backup(cmd *cobra.Command, client *admin.Client, path string, asJSON bool) (err error) {
	copied := backedUp{File: path}
	write := func(ctx context.Context, w io.Writer) (err error) {
		copied.Bytes, err = client.Stream(ctx, "backup", struct{}{}, nil, w)
		return err
	}
	if path == "-" {
		return write(cmd.Context(), raw(cmd.OutOrStdout()))
	}
	if err := writeWhole(cmd.Context(), path, write); err != nil {
		if cmd.Context().Err() != nil {
			return &exitError{exitInterrupted, errors.New("interrupted: no copy was written")}
		}
		return err
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), copied)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", path, size(copied.Bytes))
	return err
}
