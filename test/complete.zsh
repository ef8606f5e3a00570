#!/usr/bin/env zsh
# What zsh offers at the end of a command line: one word a line. It cannot be asked from outside, so a shell runs in a
# terminal of its own, with compadd replaced by one that writes down what it is given.
#
#   zsh -f complete.zsh COMPLETIONS SCRATCH LINE
zmodload zsh/zpty
export TERM=xterm COMPLETIONS=$1 SCRATCH=$2
rm -f $SCRATCH/found $SCRATCH/ready $SCRATCH/done
cat >$SCRATCH/inner.zsh <<'END'
PS1= RPS1=
cd $SCRATCH
fpath=($COMPLETIONS $fpath)
autoload -Uz compinit
compinit -u -D
compadd() {
    if [[ ${@[(I)-[OAD]]} -gt 0 ]]; then # somebody wants the matches themselves
        builtin compadd "$@"
        return
    fi
    local -a found
    builtin compadd -O found "$@"
    print -rl -- $found >>$SCRATCH/found
    builtin compadd "$@"
}
finished() { : >$SCRATCH/done }
comppostfuncs=(finished)
bindkey '^I' complete-word
: >$SCRATCH/ready
END
zpty inner zsh -f -i
zpty -w inner "source $SCRATCH/inner.zsh"
for ((i = 0; i < 200; i++)); do [[ -e $SCRATCH/ready ]] && break; sleep 0.05; done
zpty -n -w inner "$3"$'\t'
for ((i = 0; i < 200; i++)); do [[ -e $SCRATCH/done ]] && break; sleep 0.05; done
zpty -d inner
cat $SCRATCH/found 2>/dev/null
rm -f $SCRATCH/found $SCRATCH/ready $SCRATCH/done $SCRATCH/inner.zsh
