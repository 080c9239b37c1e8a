package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
	"airmirror/gc"
	"airmirror/mirror"
	"airmirror/sync/prefetch"
	"airmirror/sync/transfer"
)

// exportConfig is what `mirror export` can be told beside the names of images.
type exportConfig struct {
	transfer.ExportRequest
	files, wants []string
	bundle       string // a file, or "-" for standard output
	volumeSize   gc.Size
	have         string // the file of a receipt
	key          string // the file of a secret key
	overwrite    bool
	dryRun       bool
	allowStale   bool
	history      bool
	skipped      int // IDs of images in lists, which name nothing
}

// minVolume is the least size of a volume, in bytes: what is smaller is a number whose unit was meant to be another. It is
// a megabyte, so that neither 1MB nor 1MiB is refused.
const minVolume = 1e6

func newExportCommand() *cobra.Command {
	q, c := &adminCommand{}, exportConfig{}
	cmd := q.command(&cobra.Command{
		Use:   "export --bundle FILE|- [IMAGE]...",
		Short: "Write images into a bundle, to be carried to another mirror",
		Long: `Write images into a bundle: one file, or several volumes, that 'mirror sync --bundle' takes
in on the other side, and that docker load, ctr images import, skopeo and other tools read
as well. Images are named as docker pull takes them. What is named and not held is fetched
first, unless the mirror is offline.

A bundle can leave out what the other side has: what its receipt lists (--have), or what was
sent before to the destination that --to names (--since last). It then says what it takes for
granted, and is refused where that is missing.

With --skip-missing, --all or --wants, what is not held whole is left out and named. A bundle is
written then all the same, with exit code 6.

Exit codes: 0 the bundle is complete and on the disk, 2 flags or files not understood,
6 an image is not held whole, was left out, or was not checked upstream, 130 interrupted; others as for serve.`,
		Example: `  mirror export --bundle plant.tar alpine:3 ghcr.io/org/app:v1
  mirror export --bundle plant.tar --all --to plant-7 --since last
  mirror export --bundle usb/plant.tar --file images.txt --volume-size 4.7GB --sign mirror.key
  mirror export --bundle plant.tar --wants wants.json --have receipt.json
  mirror export --bundle - alpine:3 | ssh inside mirror sync --bundle -
  mirror export --all --to plant-7 --since last --dry-run`,
	}, func(cmd *cobra.Command, client *admin.Client, args []string) error {
		if c.history {
			return exportHistory(cmd, client, q.json)
		}
		if len(c.Images)+len(c.Wants) == 0 && !c.All {
			return nothingWanted(cmd, c.wants)
		}
		if c.skipped > 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s skipped: IDs of Docker name no image of a registry\n", count(c.skipped, "image ID was", "image IDs were"))
		}
		return (&export{cmd: cmd, client: client, exportConfig: c, json: q.json}).run()
	})
	f := cmd.Flags()
	f.StringVar(&c.bundle, "bundle", "", "write the bundle to this `file`; - is standard output")
	f.BoolVar(&c.All, "all", false, "take every image that is held whole")
	f.StringSliceVar(&c.files, "file", nil, "take the images that this `file` names, as for sync; repeatable")
	f.BoolVar(&c.SkipMissing, "skip-missing", false, "write the bundle without the images that cannot be had, name them, and exit with 6")
	f.BoolVar(&c.allowStale, "allow-stale", false, "exit with 0 even if an upstream could not be asked what tags point at now or what refers to images")
	f.StringSliceVar(&c.wants, "wants", nil, "take what this `file` of wants names; repeatable")
	f.StringSliceVar(&c.Platforms, "platform", nil, "take only these `os/arch[/variant]` of each image; repeatable (default all that are held)")
	f.BoolVar(&c.Flatten, "flatten", false, "of each image that is an index, write that of the one --platform under its name, for tools that read no index without some of its platforms; its digest is another one then, which no signature of the index is about")
	f.BoolVar(&c.Referrers, "referrers", true, "take signatures, SBOMs and what else refers to the images as well")
	f.StringVar(&c.To, "to", "", "the bundle is for the destination of this `name`, as plant-7")
	f.StringVar(&c.Since, "since", "", "leave out what was sent to the destination before: up to the `last` bundle, or the one with this id")
	f.StringVar(&c.have, "have", "", "leave out what this receipt, a `file` by 'mirror sync --receipt', says the other side holds")
	f.TextVar(&c.volumeSize, "volume-size", gc.Size(0), "write volumes FILE.001, FILE.002 and so on, of at most this `size`, as 4.7GB")
	f.Lookup("volume-size").DefValue = ""
	f.StringVar(&c.key, "sign", "", "sign with the secret key in this `file`; see 'mirror key generate'")
	f.BoolVar(&c.overwrite, "overwrite", false, "replace a file, or volumes, that are there already")
	f.BoolVar(&c.dryRun, "dry-run", false, "list what the bundle would carry and what would be fetched for it, and write and store nothing")
	f.BoolVar(&c.history, "history", false, "list the bundles that were sent, by destination")
	fromEnv := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if err := fromEnv(cmd, args); err != nil {
			return err
		}
		if c.history {
			return nil
		}
		return c.read(args, cmd.InOrStdin())
	}
	return cmd
}

// read checks what was asked for, and reads what names images, before anything is opened.
func (c *exportConfig) read(args []string, stdin io.Reader) error {
	named := syncConfig{files: c.files, wants: c.wants}
	named.Platforms = c.Platforms
	if len(args)+len(c.files)+len(c.wants) > 0 {
		if err := named.read(args, stdin); err != nil {
			return err
		}
	}
	c.Images, c.Wants, c.skipped = named.Images, named.Wants, named.Skipped
	switch {
	case len(c.Images)+len(c.wants) == 0 && !c.All:
		return &exitError{exitUsage, errors.New("nothing to export: name images, a file of them with --file or --wants, or --all; see 'mirror export --help'")}
	case c.bundle == "" && !c.dryRun:
		return &exitError{exitUsage, errors.New("say with --bundle which file to write the bundle to")}
	case c.bundle == "-" && c.volumeSize > 0:
		return &exitError{exitUsage, errors.New("standard output has no volumes: leave out --volume-size")}
	case c.volumeSize > 0 && c.volumeSize < minVolume:
		return &exitError{exitUsage, fmt.Errorf("--volume-size %s: a volume has at least 1MB, and as much as the medium holds: say 4.7GB", c.volumeSize)}
	case c.Flatten && len(c.Platforms) != 1:
		return &exitError{exitUsage, errors.New("--flatten writes the image of one platform: say which with --platform")}
	case c.Since != "" && c.To == "":
		return &exitError{exitUsage, errors.New("--since goes by what was sent to a destination: name it with --to")}
	case c.Since != "" && c.have != "":
		return &exitError{exitUsage, errors.New("--since and --have both say what the other side has: leave one out")}
	}
	return c.readEpoch()
}

// readEpoch has the bundle say that it was made at SOURCE_DATE_EPOCH, if that is set:
// https://reproducible-builds.org/specs/source-date-epoch/
func (c *exportConfig) readEpoch() error {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		return nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return &exitError{exitUsage, fmt.Errorf("SOURCE_DATE_EPOCH=%s: want seconds", text)}
	}
	c.Created = time.Unix(seconds, 0).UTC()
	return nil
}

// receipt opens the receipt of the other side; nil if there is none.
func (c *exportConfig) receipt() (io.ReadCloser, error) {
	if c.have == "" {
		return nil, nil
	}
	c.Have = true
	file, err := os.Open(c.have)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	return file, nil
}

// fetch has what is named fetched, as far as it is missing. What cannot be had is told where the bundle lacks it.
func (e *export) fetch() error {
	if len(e.Images)+len(e.Wants) == 0 {
		return nil
	}
	status, err := e.client.Status(e.cmd.Context())
	if err != nil || status.Mode == mirror.Offline {
		return err
	}
	req := prefetch.Request{Images: e.Images, Wants: e.Wants, Platforms: e.Platforms, Referrers: e.Referrers, DryRun: e.dryRun}
	view := &jobView{out: io.Discard, progress: newProgressView(io.Discard, e.cmd.ErrOrStderr()), label: countItems("images")}
	defer view.end()
	e.reasons = map[string]string{}
	view.item = func(event admin.Event) (string, error) {
		var image admin.SyncedImage
		err := event.Decode(&image)
		if image.Error != "" {
			e.reasons[image.Image] = image.Error
		}
		if image.NotChecked != "" {
			e.notChecked = append(e.notChecked, leftOut{image.Image, image.NotChecked})
		}
		if image.Error == "" && image.Fetched != nil && image.Fetched.New > 0 {
			e.toFetch = append(e.toFetch, image)
		}
		return "", err
	}
	return e.client.Job(e.cmd.Context(), "sync", req, nil, view.event)
}
