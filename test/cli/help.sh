# shellcheck shell=bash
qm
qm help
qm --help
qm --version
qm help show
qm help compare
qm compare --help
qm help calibrate
qm help sign
qm help history
qm shwo
qm frobnicate
qm help shwo
qm help one two
qm --verison
