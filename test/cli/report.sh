# shellcheck shell=bash
# The page itself is looked at by test_report and report_browser; here is what the verb says, and what it writes over.
qm report "$DATA/result-example.yaml" "$DATA/result-other-device.yaml" -o two.html | sed 's/[0-9]* KB/N KB/'
head -c 40 two.html
echo
qm report "$DATA/result-example.yaml" --out two.html | sed 's/[0-9]* KB/N KB/'
cp "$DATA/result-example.yaml" mine.yaml
qm report mine.yaml -o mine.yaml
cmp mine.yaml "$DATA/result-example.yaml" && echo "the result is as it was"
echo "a letter" >letter.html
qm report mine.yaml -o letter.html
cat letter.html
qm report mine.yaml -o .
qm report mine.yaml -o absent/report.html
qm report
qm report absent.yaml
qm report letter.html
qm report mine.yaml --only pie -o x.svg
qm report mine.yaml --only trade
qm report mine.yaml --only trade -o x.pdf
qm report mine.yaml --width 400
qm report mine.yaml --only trade -o x.svg --colours red
qm report mine.yaml --only trade -o x.svg --drawing 40
qm report mine.yaml --only accuracy -o x.svg --width 390
grep -c '<svg' x.svg
grep -o 'qmark 0[0-9.]*' x.svg | head -1
ls
