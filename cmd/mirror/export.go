package main

import (
	"context"
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

// exportConfig are the flags of `mirror export`.
type exportConfig struct {
	transfer.ExportRequest
	inputs
	wants      []string
	bundle     string // a file, or "-" for standard output
	volumeSize gc.Size
	parity     redundancy
	have       string // the file of a receipt
	key        string // the file of a secret key
	overwrite  bool
	dryRun     bool
	allowStale bool
	history    bool
}

// minVolume is the minimum size of a volume in bytes. A smaller size is probably a wrong unit.
const minVolume = 1e6

func newExportCommand() *cobra.Command {
	q, c := &adminCommand{}, exportConfig{}
	cmd := q.command(&cobra.Command{
		Use:   "export --bundle FILE|- [IMAGE]...",
		Short: "Export images to a bundle",
		Long: `Export images to a bundle, as one file or in several volumes. 'mirror sync --bundle' imports it on
another mirror. docker load, ctr images import, skopeo and other tools can read it as well. Images
are named as for docker pull, or in files as for sync. Images that are not stored are fetched first,
unless the mirror is offline.

A bundle can leave out content that the destination has: content that its receipt lists (--have), or
that was exported before for the destination of --to (--since last). An import fails if the content
is missing after all.

With --skip-missing, --all or --wants, incomplete images are skipped and listed, and the exit code
is 6.

Exit codes: 0 the bundle is complete and durable, 2 invalid flags or files, 6 an image is incomplete,
was skipped, was not checked upstream, or could not be read from a file, 130 interrupted; others as
for serve.`,
		Example: `  mirror export --bundle plant.tar alpine:3 ghcr.io/org/app:v1
  mirror export --bundle plant.tar --file compose.yaml --file ./chart
  mirror export --bundle plant.tar --all --to plant-7 --since last
  mirror export --bundle usb/b.tar --all --volume-size 4.7GB --sign mirror.key
  mirror export --bundle usb/b.tar --all --parity 5%
  mirror export --bundle plant.tar --wants wants.json --have receipt.json
  mirror export --bundle - alpine:3 | ssh inside mirror sync --bundle -
  mirror export --all --to plant-7 --since last --dry-run`,
	}, func(cmd *cobra.Command, client *admin.Client, args []string) error {
		if c.history {
			return exportHistory(cmd, client, c.To, q.json)
		}
		if len(c.Images)+len(c.Wants) == 0 && !c.All && c.inputs.none() {
			return nothingWanted(cmd, c.wants)
		}
		if c.ids > 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s skipped: an ID of Docker is not the name of an image\n", count(c.ids, "image ID was", "image IDs were"))
		}
		return (&export{cmd: cmd, client: client, exportConfig: c, json: q.json}).run()
	})
	f := cmd.Flags()
	f.StringVar(&c.bundle, "bundle", "", "write the bundle to this `file`; - is standard output")
	f.BoolVar(&c.All, "all", false, "export all complete images")
	c.inputs.flags(f, "export")
	f.BoolVar(&c.SkipMissing, "skip-missing", false, "skip images that are not available, list them, and exit with 6")
	f.BoolVar(&c.allowStale, "allow-stale", false, "exit with 0 even if tags or referrers could not be checked upstream")
	f.StringSliceVar(&c.wants, "wants", nil, "export the images in this `file` of wants; repeatable")
	f.StringSliceVar(&c.Platforms, "platform", nil, "export only these platforms, `os/arch[/variant]`; repeatable (default all stored platforms)")
	f.BoolVar(&c.Flatten, "flatten", false, "replace each index by its image for the one --platform, for tools that cannot read an index with missing platforms; the image has another digest, and signatures of the index do not apply to it")
	f.BoolVar(&c.Referrers, "referrers", true, "also export signatures, SBOMs and other referrers")
	f.StringVar(&c.To, "to", "", "`name` of the destination of the bundle, such as plant-7")
	f.StringVar(&c.Since, "since", "", "leave out content that was exported for the destination before: up to the `last` bundle, or up to the bundle with this ID")
	f.StringVar(&c.have, "have", "", "leave out content in this receipt `file` of the destination, from 'mirror sync --receipt'")
	f.TextVar(&c.volumeSize, "volume-size", gc.Size(0), "write volumes FILE.001, FILE.002 and so on, of at most this `size`, such as 4.7GB")
	f.Lookup("volume-size").DefValue = ""
	f.Var(&c.parity, "parity", "add this `amount` of redundancy, from which 'mirror bundle repair' rebuilds what is lost or damaged: a percentage such as 5% of one file, or with --volume-size a number of volumes")
	f.StringVar(&c.key, "sign", "", "sign with the secret key in this `file`; see 'mirror key generate'")
	addOverwriteFlag(f, &c.overwrite, "the file or the volumes of --bundle if they exist")
	f.BoolVar(&c.dryRun, "dry-run", false, "list what would be exported and fetched, and write nothing")
	f.BoolVar(&c.history, "history", false, "list earlier exports by destination")
	cmd.ValidArgsFunction = q.complete(0, listImages)
	completeFlags(cmd, map[string]cobra.CompletionFunc{"to": q.complete(0, listDestinations), "platform": q.complete(0, listPlatforms), "since": oneOf("last")})
	fromEnv := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if err := fromEnv(cmd, args); err != nil {
			return err
		}
		if c.history {
			return nil
		}
		if err := c.read(cmd.Context(), args, cmd.InOrStdin()); err != nil || c.dryRun {
			return err
		}
		if c.bundle != "-" {
			return checkNew(c.bundle, int64(c.volumeSize), c.overwrite)
		}
		return refuseTerminal(cmd, "a bundle")
	}
	return cmd
}

// read validates the flags, and reads the files with names of images.
func (c *exportConfig) read(ctx context.Context, args []string, stdin io.Reader) error {
	named := syncConfig{inputs: c.inputs, wants: c.wants}
	named.Platforms = c.Platforms
	if len(args)+len(c.files)+len(c.wants) > 0 {
		if err := named.read(ctx, args, stdin); err != nil {
			return err
		}
	}
	c.Images, c.Wants, c.inputs = named.Images, named.Wants, named.inputs
	switch {
	case len(c.Images)+len(c.wants)+len(c.files) == 0 && !c.All:
		return &exitError{exitUsage, errors.New("nothing to export: name images, a file of them with --file or --wants, or --all; see 'mirror export --help'")}
	case c.bundle == "" && !c.dryRun:
		return &exitError{exitUsage, errors.New("the file of the bundle is missing: name it with --bundle, as in --bundle plant.tar")}
	case c.bundle == "-" && c.volumeSize > 0:
		return &exitError{exitUsage, errors.New("--volume-size cannot be used with standard output")}
	case c.volumeSize > 0 && c.volumeSize < minVolume:
		return &exitError{exitUsage, fmt.Errorf("--volume-size %s: the minimum is 1MB: use the size of the medium, such as 4.7GB", c.volumeSize)}
	case c.parity.percent > 0 && c.bundle == "-":
		return &exitError{exitUsage, errors.New("--parity cannot be used with standard output, as it is computed from the finished file: export to a file")}
	case c.parity.percent > 0 && c.volumeSize > 0:
		return &exitError{exitUsage, fmt.Errorf("--parity %s: with --volume-size, want a number of volumes, such as 1", &c.parity)}
	case c.parity.volumes > 0 && c.volumeSize == 0:
		return &exitError{exitUsage, fmt.Errorf("--parity %s: a number of volumes needs --volume-size; one file takes a percentage, such as 5%%", &c.parity)}
	case c.Flatten && len(c.Platforms) != 1:
		return &exitError{exitUsage, errors.New("--flatten needs exactly one --platform")}
	case c.Since != "" && c.To == "":
		return &exitError{exitUsage, errors.New("--since needs the destination: set it with --to")}
	case c.Since != "" && c.have != "":
		return &exitError{exitUsage, errors.New("--since and --have cannot be combined")}
	}
	return c.readEpoch()
}

// readEpoch sets the creation time of the bundle to SOURCE_DATE_EPOCH, if it is set:
// https://reproducible-builds.org/specs/source-date-epoch/
func (c *exportConfig) readEpoch() error {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		return nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return &exitError{exitUsage, fmt.Errorf("SOURCE_DATE_EPOCH=%s: want a number of seconds", text)}
	}
	c.Created = time.Unix(seconds, 0).UTC()
	return nil
}

// receipt opens the receipt of the destination. It returns nil if none was given.
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

// fetch fetches the named images that are missing. Failures are reported with the bundle.
func (e *export) fetch() error {
	if len(e.Images)+len(e.Wants) == 0 {
		return nil
	}
	status, err := e.client.Status(e.cmd.Context())
	if err != nil || status.Mode == mirror.Offline {
		return err
	}
	req := prefetch.Request{Images: e.Images, Wants: e.Wants, Platforms: e.Platforms, Referrers: e.Referrers, DryRun: e.dryRun}
	view := &jobView{out: io.Discard, progress: newProgressView(e.cmd, io.Discard), label: countItems("images")}
	defer view.end()
	e.reasons = map[string]string{}
	view.item = func(event admin.Event) (string, error) {
		var image prefetch.Result
		err := event.Decode(&image)
		if image.Error != "" {
			e.reasons[image.Image] = image.Error
		}
		if image.NotChecked != "" {
			e.notChecked = append(e.notChecked, admin.Notice{Name: image.Image, Reason: image.NotChecked})
		}
		if image.Error == "" && image.Fetched != nil && image.Fetched.New > 0 {
			e.toFetch = append(e.toFetch, image)
		}
		return "", err
	}
	return e.client.Job(e.cmd.Context(), "sync", req, nil, view.event)
}
