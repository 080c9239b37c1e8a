package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
	"airmirror/mirror"
	"airmirror/sync/prefetch"
)

// syncConfig is what `mirror sync` can be told beside the names of images.
type syncConfig struct {
	prefetch.Request
	files, wants []string
	allowStale   bool
	carry        bundleConfig
	migrate      admin.MigrateRequest
}

func newSyncCommand() *cobra.Command {
	q, c := &adminCommand{create: true}, syncConfig{}
	cmd := q.command(&cobra.Command{
		Use:   "sync [IMAGE]...",
		Short: "Bring content in: bundles, lists of images, other registries",
		Long: `Bring content in ahead of need, so that it can be pulled with no network.

Images are fetched from upstream, whole. They are named as docker pull takes them: alpine:3,
ghcr.io/org/app@sha256:…; without a tag it is latest, unless --tags or --all-tags selects
tags. What is named by its digest stays until it is removed by that; app:1@sha256:… sets the
tag as well. IDs of images in a file are skipped. A file of images has one to a line, with # before comments, or is Kubernetes YAML, of
which the image: lines are read. A file of wants is what 'mirror wants --json' printed, here
or on another mirror.

Bundles are taken in from files, folders or standard input (-): what 'mirror export' wrote,
OCI image layouts, and what docker save, podman save, crane, cosign, zarf and hauler wrote,
compressed or not. No tag moves before all of a bundle is in. Of a bundle in volumes each can
be taken in by itself, in order. A folder stands for all archives in it and below; whatever
else it has is named. An image whose name cannot be used is left out and named.

Another registry is moved in from the folder that it stores everything in, if it is a
distribution registry ("registry:2", docker-registry), or by asking it. Repositories keep their
names, and are local here: no upstream is asked for them. Symbolic links in the folder are
followed. Tags that differ under names that mean one image (nginx, library/nginx) are left out.

What is held is not brought in again, so a sync that was broken off goes on where it stopped
when it is run again. The server does it if one runs on the data folder; Ctrl-C ends it.

A stored tag whose upstream cannot be asked what it points at now, or does not confirm it, is not
checked: the stored copy stays, and is told with the reason. So it is while the mirror is offline.

Exit codes: 0 all is held whole, 2 flags or files not understood, 6 something is missing, was not
checked, or stayed as it was pushed here, 7 a bundle, or a part of it, was refused,
130 interrupted; others as for serve.`,
		Example: `  mirror sync alpine:3 ghcr.io/org/app:v1
  mirror sync --file images.txt --platform linux/amd64
  mirror sync --tags 'v1.*' --tags '>=2.1 <3' registry.k8s.io/pause
  kubectl get pods -A -o yaml | mirror sync --file -
  mirror sync --bundle plant.tar --verify mirror.pub --receipt receipt.json
  mirror sync --bundle /media/usb
  docker save app | mirror sync --bundle - --tag team/app:1
  mirror sync --registry-root /var/lib/registry
  mirror sync --from old-registry.example:5000 --repo 'team/*'`,
	}, func(cmd *cobra.Command, client *admin.Client, _ []string) error {
		err := c.run(cmd, client, q.json)
		if exit := (*exitError)(nil); err != nil && !(errors.As(err, &exit) && exit.code == exitMissing) {
			return err
		}
		return errors.Join(err, writeReceipt(cmd, client, c.carry.receipt)) // of what is stored, which may be not all that was asked for
	})
	f := cmd.Flags()
	f.StringSliceVar(&c.files, "file", nil, "fetch the images that this `file` names; repeatable")
	f.StringSliceVar(&c.wants, "wants", nil, "fetch what this `file` of wants names; repeatable")
	f.StringSliceVar(&c.Platforms, "platform", nil, "fetch only these `os/arch[/variant]` of each image; repeatable (default all)")
	f.BoolVar(&c.AllTags, "all-tags", false, "fetch all tags of the images")
	f.StringArrayVar(&c.Tags, "tags", nil, "fetch the tags that a `pattern` selects: v1.*, or a range of versions such as '>=1.2 <2' or ~1.4; repeatable")
	f.BoolVar(&c.Referrers, "referrers", false, "fetch signatures, SBOMs and what else refers to the images as well")
	f.BoolVar(&c.allowStale, "allow-stale", false, "exit with 0 even if an upstream could not be asked what tags point at now or what refers to images")
	f.IntVar(&c.Parallel, "parallel", 4, "transfer this many blobs at a time")
	f.StringSliceVar(&c.carry.bundles, "bundle", nil, "take in what is in this `file` or folder; - is standard input; repeatable")
	f.StringVar(&c.carry.Tag, "tag", "", "`name` for the image of an archive that has none for it, as team/app:1")
	f.BoolVar(&c.carry.skipBadNames, "skip-bad-names", false, "images of an archive without a name that can be used may be left out: exit with 6 then, not with 7")
	f.BoolVar(&c.carry.Overwrite, "overwrite", false, "let a bundle move tags that were pushed here")
	f.BoolVar(&c.carry.AnyDestination, "any-destination", false, "take in a bundle that was made for another destination than this mirror's")
	f.BoolVar(&c.carry.AllowOlder, "allow-older", false, "take in a bundle that was made before the last one that came from there")
	f.StringSliceVar(&c.carry.keys, "verify", nil, "refuse bundles that are not signed with this public `key`, or the one in this file; repeatable")
	f.BoolVar(&c.carry.DryRun, "dry-run", false, "list what would be fetched, or what a bundle would bring, and store nothing")
	f.StringVar(&c.migrate.Root, "registry-root", "", "move in what a distribution registry stored in this `folder`; blobs are linked where the file system allows")
	f.StringVar(&c.migrate.URL, "from", "", "move in what the registry at this `[http://]host` holds")
	f.StringSliceVar(&c.migrate.Repos, "repo", nil, "move in only repositories that match this `pattern`; repeatable")
	f.StringVar(&c.carry.receipt, "receipt", "", "then write to this `file` what the mirror holds, for 'mirror export --have'")
	fromEnv := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if err := fromEnv(cmd, args); err != nil {
			return err
		}
		if cmd.Flags().Changed("parallel") && c.Parallel < 1 {
			return &exitError{exitUsage, fmt.Errorf("--parallel %d: want 1 or more", c.Parallel)}
		}
		if err := c.check(cmd, args); err != nil {
			return err
		}
		if len(c.carry.bundles) > 0 || migrates(c.migrate) || c.carry.receipt != "" && len(args)+len(c.files)+len(c.wants) == 0 {
			return nil
		}
		return c.read(args, cmd.InOrStdin())
	}
	return cmd
}

func (c *syncConfig) run(cmd *cobra.Command, client *admin.Client, asJSON bool) error {
	switch {
	case len(c.carry.bundles) > 0:
		return (&imports{bundleConfig: c.carry, cmd: cmd, client: client, json: asJSON}).run()
	case migrates(c.migrate):
		return runMigrate(cmd, client, c.migrate, asJSON)
	case len(c.Images)+len(c.Wants) > 0:
		return c.fetch(cmd, client, asJSON)
	case len(c.wants) > 0:
		return nothingWanted(cmd, c.wants)
	}
	return nil // but for a receipt
}

// check reports flags that do not go together.
func (c *syncConfig) check(cmd *cobra.Command, args []string) error {
	named := len(args)+len(c.files)+len(c.wants) > 0
	bundles, moves := len(c.carry.bundles) > 0, migrates(c.migrate)
	for flag, fits := range map[string]bool{
		"tag": bundles, "skip-bad-names": bundles, "allow-older": bundles, "any-destination": bundles, "verify": bundles, "overwrite": bundles || moves, "repo": moves,
	} {
		if cmd.Flags().Changed(flag) && !fits {
			return &exitError{exitUsage, fmt.Errorf("--%s says nothing about images that are fetched: see 'mirror sync --help' for what it goes with", flag)}
		}
	}
	if moves && c.carry.DryRun {
		return &exitError{exitUsage, errors.New("--dry-run is for images and bundles: another registry is only moved in for good")}
	}
	c.DryRun = c.carry.DryRun
	for _, flag := range []string{"platform", "all-tags", "tags", "referrers", "allow-stale"} {
		if cmd.Flags().Changed(flag) && (bundles || moves) {
			return &exitError{exitUsage, fmt.Errorf("--%s is about images that are fetched: of a bundle, or another registry, all comes in that it has", flag)}
		}
	}
	if bundles && moves || named && (bundles || moves) {
		return &exitError{exitUsage, errors.New("bundles, another registry and images to fetch are brought in by one sync each")}
	}
	c.migrate.Overwrite, c.migrate.Parallel = c.carry.Overwrite, c.Parallel
	switch {
	case bundles:
		return c.carry.read()
	case moves:
		return readMigrate(&c.migrate)
	}
	return nil
}

// read reads what names images, before anything is opened or created.
func (c *syncConfig) read(args []string, stdin io.Reader) error {
	c.Images = append([]string{}, args...)
	if err := c.Check(); err != nil { // of what is in files, what cannot be understood is reported like what cannot be had
		return &exitError{exitUsage, err}
	}
	for _, name := range c.files {
		if err := readFile(name, stdin, func(r io.Reader) error {
			found, err := prefetch.ParseList(r)
			found, ids := prefetch.WithoutIDs(found)
			c.Images, c.Skipped = append(c.Images, found...), c.Skipped+ids
			return err
		}); err != nil {
			return err
		}
	}
	for _, name := range c.wants {
		if err := readFile(name, stdin, func(r io.Reader) error {
			wants, err := readWants(r)
			c.Wants = append(c.Wants, wants...)
			return err
		}); err != nil {
			return err
		}
	}
	if len(c.Images)+len(c.wants) == 0 {
		if len(c.files) > 0 {
			only := ""
			if c.Skipped > 0 {
				only = ", only " + count(c.Skipped, "image ID", "image IDs")
			}
			return &exitError{exitUsage, fmt.Errorf("nothing to fetch: no image is named in %s%s", strings.Join(c.files, ", "), only)}
		}
		return &exitError{exitUsage, errors.New("nothing to fetch: name images, or a file of them with --file or --wants; see 'mirror sync --help'")}
	}
	return nil
}

// readWants reads a file of wants: one list, or several one after another.
func readWants(r io.Reader) (all []mirror.Want, err error) {
	lists := 0
	for decoder := json.NewDecoder(mirror.TextReader(r)); ; lists++ {
		var wants []mirror.Want
		switch err := decoder.Decode(&wants); {
		case err == io.EOF && lists > 0:
			return all, nil
		case err == io.EOF:
			return nil, errors.New("it is empty: where nothing is wanted, 'mirror wants --json' writes an empty list")
		case err != nil:
			return all, err
		}
		all = append(all, wants...)
	}
}

func readFile(name string, stdin io.Reader, read func(io.Reader) error) error {
	r := stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return &exitError{exitUsage, err}
		}
		defer file.Close()
		r = file
	}
	if err := read(r); err != nil {
		return &exitError{exitUsage, fmt.Errorf("read %s: %w", name, err)}
	}
	return nil
}

// nothingWanted says that there is nothing to do, which is as it should be.
func nothingWanted(cmd *cobra.Command, files []string) error {
	_, err := fmt.Fprintf(cmd.ErrOrStderr(), "nothing is wanted: there is no want in %s\n", strings.Join(files, ", "))
	return err
}

// fetch has the images that are named fetched.
func (c *syncConfig) fetch(cmd *cobra.Command, client *admin.Client, asJSON bool) error {
	view := newImagesView(newJobView(cmd, asJSON), c.DryRun)
	err := client.Job(cmd.Context(), "sync", c.Request, nil, view.event)
	view.end()
	switch {
	case cmd.Context().Err() != nil:
		return &exitError{exitInterrupted, errors.New("interrupted: what has arrived whole is kept, and the same command goes on with the rest")}
	case err != nil:
		return err
	case !view.ended:
		return errors.New("the mirror did not say how the sync ended; its log says why")
	}
	return c.undone(&view.result)
}

// undone is the error for what a sync did not do.
func (c *syncConfig) undone(s *prefetch.Summary) error {
	var parts []string
	if s.Failed > 0 {
		text := "%d of %s could not be fetched whole; the same command goes on with what is missing"
		if c.DryRun {
			text = "%d of %s cannot be fetched whole"
		}
		parts = append(parts, fmt.Sprintf(text, s.Failed, count(s.Images, "image", "images")))
	}
	if s.NotChecked > 0 && !c.allowStale {
		parts = append(parts, fmt.Sprintf("%d of %s could not be checked upstream, and may be older than there or lack what refers to it; --allow-stale is content with what is stored",
			s.NotChecked, count(s.Images, "image", "images")))
	}
	if len(parts) == 0 {
		return nil
	}
	return &exitError{exitMissing, errors.New(strings.Join(parts, "; "))}
}
