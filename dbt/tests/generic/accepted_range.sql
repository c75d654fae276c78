{# Fails for every row where one of the columns is outside at_least..at_most; null is accepted. #}
{% test accepted_range(model, columns, at_least=none, at_most=none, only_recomputed_hours=false) %}

select *
from {{ model }}
where {{ in_replaced_hours() if only_recomputed_hours else 'true' }}
    and (
        false
        {%- for column in columns %}
        {%- if at_least is not none %} or {{ column }} < {{ at_least }}{% endif %}
        {%- if at_most is not none %} or {{ column }} > {{ at_most }}{% endif %}
        {%- endfor %}
    )

{% endtest %}
