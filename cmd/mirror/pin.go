package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
	"airmirror/mirror"
)

func newPinCommand() *cobra.Command {
	q := &adminCommand{}
	cmd := q.command(&cobra.Command{
		Use:   "pin [IMAGE]...",
		Short: "Protect images from collection, or list protected images",
		Long: `Pin stored images, so that the collector never deletes them. A pinned tag protects the image that it
points to, also after the tag moves. A pinned digest protects that image, and may be shortened.
Images are named as for docker pull. Without arguments, list the pins.

Exit codes: 0 pinned, 6 an image is not stored, and none was pinned; others as for serve.`,
		Example: `  mirror pin alpine:3 ghcr.io/org/app:v1
  mirror pin ghcr.io/org/app@sha256:4f53…
  mirror pin`,
	}, func(cmd *cobra.Command, client *admin.Client, args []string) error {
		if len(args) == 0 {
			return showPins(cmd, client, q.json)
		}
		return pin(cmd, client, "pin", args, q.json)
	})
	cmd.ValidArgsFunction = q.complete(0, listImages)
	return cmd
}

func newUnpinCommand() *cobra.Command {
	q := &adminCommand{}
	cmd := q.command(&cobra.Command{
		Use:   "unpin IMAGE...",
		Short: "Remove the protection of images",
		Long: `Unpin images, so that the collector can delete them again.

Exit codes: 0 unpinned, 6 an image is not pinned, and none was unpinned; others as for serve.`,
		Example: `  mirror unpin alpine:3`,
		Args:    someArguments("IMAGE"),
	}, func(cmd *cobra.Command, client *admin.Client, args []string) error {
		return pin(cmd, client, "unpin", args, q.json)
	})
	cmd.ValidArgsFunction = q.complete(0, listPins)
	return cmd
}

// pin runs a call that pins or unpins images.
func pin(cmd *cobra.Command, client *admin.Client, call string, names []string, asJSON bool) error {
	done := []mirror.Pin{}
	if err := client.Call(cmd.Context(), call, names, nil, collectItems(&done)); err != nil {
		return notStored(err)
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), done)
	}
	for _, pin := range done {
		fmt.Fprintf(cmd.OutOrStdout(), "%sned %s\n", call, pin.Ref)
	}
	return nil
}

// notStored adds the exit code to an error about a missing image or an invalid name.
func notStored(err error) error {
	switch mirror.CodeOf(err) {
	case mirror.CodeManifestUnknown:
		return &exitError{exitMissing, err}
	case mirror.CodeNameInvalid:
		return &exitError{exitUsage, err}
	}
	return err
}

func showPins(cmd *cobra.Command, client *admin.Client, asJSON bool) error {
	pins, out := []mirror.Pin{}, cmd.OutOrStdout()
	if err := client.Call(cmd.Context(), "pins", struct{}{}, nil, collectItems(&pins)); err != nil {
		return err
	}
	if asJSON {
		return printJSON(out, pins)
	}
	if len(pins) == 0 {
		fmt.Fprintln(out, "nothing is pinned")
		return nil
	}
	t := newTable(out, "PINNED", "SINCE", "DIGEST")
	for _, pin := range pins {
		target := "not stored"
		if pin.Digest != "" {
			target = short(pin.Digest)
		}
		t.row(pin.Ref, since(pin.Since), target)
	}
	return t.Flush()
}

// since formats a time relative to now; "-" for the zero time.
func since(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return age(t)
}
