package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// helpWidth is the width of help texts, in columns.
const helpWidth = 80

// The groups of commands, in the order of the help.
const (
	groupServe      = "serve"
	groupImages     = "images"
	groupAirGap     = "air gap"
	groupSpace      = "space"
	groupOperations = "operations"
	groupAccess     = "access"
	groupOther      = "other"
)

var groupTitles = []*cobra.Group{
	{ID: groupServe, Title: "Serve"}, {ID: groupImages, Title: "Images"}, {ID: groupAirGap, Title: "Air gap"}, {ID: groupSpace, Title: "Space"},
	{ID: groupOperations, Title: "Operations"}, {ID: groupAccess, Title: "Access"}, {ID: groupOther, Title: "Other"},
}

// group adds commands to cmd as members of a group.
func group(cmd *cobra.Command, id string, members ...*cobra.Command) {
	for _, member := range members {
		member.GroupID = id
	}
	cmd.AddCommand(members...)
}

// settingsFlag is the annotation of flags that are settings of the mirror, which the help shows in a group of their own, and of
// a command for the title of that group.
const settingsFlag = "settings"

// asSettings marks flags of cmd as settings, which the help shows under title.
func asSettings(cmd *cobra.Command, flags *pflag.FlagSet, title string) {
	cmd.Annotations = map[string]string{settingsFlag: title}
	flags.VisitAll(func(f *pflag.Flag) { f.Annotations = map[string][]string{settingsFlag: {}} })
}

// printHelp prints the help of a command: what it does, examples, usage, details, and flags.
func printHelp(cmd *cobra.Command, _ []string) {
	out := cmd.OutOrStdout()
	if cmd.HasParent() {
		fmt.Fprintf(out, "%s.\n", cmd.Short)
	} else {
		fmt.Fprintln(out, wrap(cmd.Long, helpWidth))
	}
	section(out, "Examples:", cmd.Example)
	section(out, "Usage:", usageOf(cmd))
	if cmd.HasParent() && cmd.Long != "" {
		fmt.Fprintf(out, "\n%s\n", wrap(cmd.Long, helpWidth))
	}
	printCommands(out, cmd)
	own, common := flagsOf(cmd)
	section(out, "Flags:", flagList(own))
	section(out, cmd.Annotations[settingsFlag], flagList(common))
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(out, "\n'%s COMMAND --help' describes a command.\n", cmd.CommandPath())
	}
}

// isParent is the annotation of a command that only has commands below it.
const isParent = "parent"

// parentCommand completes a command that only has commands below it, and prints its help.
func parentCommand(cmd *cobra.Command, members ...*cobra.Command) *cobra.Command {
	cmd.Annotations = map[string]string{isParent: "true"}
	cmd.Args = usage(noArguments)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.AddCommand(members...)
	return cmd
}

// usageOf returns the forms of a command.
func usageOf(cmd *cobra.Command) string {
	var forms []string
	if cmd.Runnable() && cmd.Annotations[isParent] == "" {
		forms = append(forms, wrapIndented(cmd.UseLine(), "  ", "      ", helpWidth))
	}
	if cmd.HasAvailableSubCommands() {
		forms = append(forms, "  "+cmd.CommandPath()+" COMMAND")
	}
	return strings.Join(forms, "\n")
}

// section prints a title and a text below it, if there is a text.
func section(out io.Writer, title, text string) {
	if text != "" {
		fmt.Fprintf(out, "\n%s\n%s\n", title, strings.TrimRight(text, "\n"))
	}
}

// printCommands prints the commands below cmd, by group.
func printCommands(out io.Writer, cmd *cobra.Command) {
	titles := cmd.Groups()
	if len(titles) == 0 {
		titles = []*cobra.Group{{Title: "Commands"}}
	}
	width := 0
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			width = max(width, len(sub.Name()))
		}
	}
	for _, title := range titles {
		var list strings.Builder
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() && sub.GroupID == title.ID {
				name := fmt.Sprintf("  %-*s  ", width, sub.Name())
				fmt.Fprintln(&list, wrapIndented(sub.Short, name, strings.Repeat(" ", len(name)), helpWidth))
			}
		}
		section(out, title.Title+":", list.String())
	}
}

// flagsOf returns the flags of a command in the order of their definition, those that every command has last, and the
// flags that are settings.
func flagsOf(cmd *cobra.Command) (own, common []*pflag.Flag) {
	cmd.InitDefaultHelpFlag()
	cmd.InitDefaultVersionFlag()
	cmd.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
		switch {
		case f.Hidden:
		case f.Annotations[settingsFlag] != nil:
			common = append(common, f)
		default:
			own = append(own, f)
		}
	})
	last := []string{"json", "quiet", "version", "help"}
	slices.SortStableFunc(own, func(a, b *pflag.Flag) int {
		return cmp.Compare(slices.Index(last, a.Name), slices.Index(last, b.Name))
	})
	return own, common
}

// maxFlagColumn is the widest column of flags. The text of a wider flag begins in the next line.
const maxFlagColumn = 28

// flagList returns the help of flags, one below the other.
func flagList(flags []*pflag.Flag) string {
	column := 0
	for _, f := range flags {
		if n := len(flagName(f)) + 2; n <= maxFlagColumn {
			column = max(column, n)
		}
	}
	var list strings.Builder
	indent := strings.Repeat(" ", column)
	for _, f := range flags {
		name, text := flagName(f), flagText(f)
		if len(name)+2 > column {
			fmt.Fprintln(&list, name)
			fmt.Fprintln(&list, wrapIndented(text, indent, indent, helpWidth))
			continue
		}
		fmt.Fprintln(&list, wrapIndented(text, name+indent[len(name):], indent, helpWidth))
	}
	return list.String()
}

// flagName returns the first column of a flag: its names, and the name of its value.
func flagName(f *pflag.Flag) string {
	name := "      --" + f.Name
	if f.Shorthand != "" {
		name = "  -" + f.Shorthand + ", --" + f.Name
	}
	if value, _ := pflag.UnquoteUsage(f); value != "" && f.Value.Type() != "bool" {
		name += " " + value
	}
	return name
}

// flagText returns the text of a flag, with its default.
func flagText(f *pflag.Flag) string {
	switch f.Name {
	case "help":
		return "print this help"
	case "version":
		return "print the version"
	}
	_, text := pflag.UnquoteUsage(f)
	switch f.DefValue {
	case "", "false", "[]", "0s", "0":
		return text
	}
	return text + " (default " + f.DefValue + ")"
}
