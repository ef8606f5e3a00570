#include "report/picture_internal.h"
void qm_picture_vendors(struct qm_picture_sheet *sheet)
{
    qm_picture_nothing(sheet, "later");
}
void qm_picture_sustained(struct qm_picture_sheet *sheet, size_t i)
{
    (void)i;
    qm_picture_nothing(sheet, "later");
}
void qm_picture_roofline(struct qm_picture_sheet *sheet, size_t i)
{
    (void)i;
    qm_picture_nothing(sheet, "later");
}
void qm_picture_accuracy(struct qm_picture_sheet *sheet, size_t i)
{
    (void)i;
    qm_picture_nothing(sheet, "later");
}
